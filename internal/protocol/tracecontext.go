package protocol

// TraceContext is the trace that a request belongs to (W3C Trace Context).
type TraceContext struct {
	TraceID [16]byte // all zero: none
	SpanID  [8]byte  // the sender's span
	Flags   byte
	State   string // tracestate, as received; empty if there was none, or it was too long or malformed
}

// Valid reports whether there is a trace context.
func (t *TraceContext) Valid() bool { return t.TraceID != [16]byte{} && t.SpanID != [8]byte{} }

// Carried is what a request carries of what it belongs to.
type Carried struct {
	Parent TraceContext // zero: there is none
	// RequestID is a hash of the id that a proxy or a program has given the request (X-Request-ID), the same in all of this process; 0: there is none.
	RequestID uint64
}

const (
	traceparentLength = 55 // version 00; later versions may be longer, with a dash after that
	invalidVersion    = 0xff
)

// ParseTraceparent reads the value of a traceparent header. An invalid value is ignored as a whole, as the specification
// demands (W3C Trace Context, 3.2.2 and 4.3): upper case, zero ids, version ff, a version 00 that is longer.
func ParseTraceparent(b []byte) (t TraceContext, ok bool) {
	if len(b) < traceparentLength || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return TraceContext{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], b[:2]) || version[0] == invalidVersion ||
		!unhex(t.TraceID[:], b[3:35]) || !unhex(t.SpanID[:], b[36:52]) || !unhex(flags[:], b[53:55]) {
		return TraceContext{}, false
	}
	if len(b) > traceparentLength && (version[0] == 0 || b[traceparentLength] != '-') {
		return TraceContext{}, false
	}
	t.Flags = flags[0]
	if !t.Valid() {
		return TraceContext{}, false
	}
	return t, true
}

// unhex decodes lower case digits; the specification allows no others.
func unhex(to, from []byte) bool {
	for i := range to {
		high, low := digit(from[2*i]), digit(from[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		to[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	default:
		return 0xff
	}
}
