package http

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// propagator is a form in which requests carry the trace that they belong to.
type propagator uint8

const (
	traceContext propagator = iota // traceparent, tracestate (W3C Trace Context)
	b3                             // b3, X-B3-* (https://github.com/openzipkin/b3-propagation)
	jaeger                         // uber-trace-id (https://www.jaegertracing.io/sdk-migration/#propagation-format)
	datadog                        // x-datadog-* (https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/)
	xray                           // X-Amzn-Trace-Id (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html)
	gcp                            // X-Cloud-Trace-Context (https://cloud.google.com/trace/docs/trace-context)
	skywalking                     // sw8 (https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/)
	propagators
)

// propagatorNames are those of OTEL_PROPAGATORS, where that has them.
var propagatorNames = [...]string{
	traceContext: "tracecontext", b3: "b3", jaeger: "jaeger", datadog: "datadog", xray: "xray", gcp: "gcp", skywalking: "skywalking",
}

// propagation is which forms count, and which of two. Header fields of others are not read.
type propagation struct {
	order   []propagator
	lengths uint64 // of the names of fields, a bit for each
}

// fieldsOf are the names of the header fields of a form, but for traceparent and tracestate.
var fieldsOf = [propagators][]string{
	b3:         {"b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"},
	jaeger:     {"uber-trace-id"},
	datadog:    {"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-tags"},
	xray:       {"x-amzn-trace-id"},
	gcp:        {"x-cloud-trace-context"},
	skywalking: {"sw8"},
}

// newPropagation takes names of propagators; nil: all.
func newPropagation(names []string) (p propagation) {
	if names == nil {
		names = propagatorNames[:]
	}
	for _, name := range names {
		for form, known := range propagatorNames {
			if name != known {
				continue
			}
			p.order = append(p.order, propagator(form))
			for _, field := range fieldsOf[form] {
				p.lengths |= 1 << len(field)
			}
		}
	}
	return p
}

// mayHave reports whether a header field may be one that propagate reads. It is fast: it is asked of every field.
func (p *propagation) mayHave(name []byte) bool {
	if p.lengths>>(len(name)%64)&1 == 0 {
		return false
	}
	switch name[0] | 0x20 {
	case 'x', 'b', 'u', 's':
		return true
	}
	return false
}

// propagated is what other fields than traceparent say.
type propagated struct {
	contexts [propagators]protocol.TraceContext
	denied   [propagators]bool // it is not to be sampled, wherever that is said
}

// propagate keeps a header field if it has a trace context, or a part of one. Of several fields with one name the first counts.
func (m *Message) propagate(name, value []byte) {
	switch {
	case ascii.Is(name, "b3"):
		m.setB3(value)
	case ascii.Is(name, "x-b3-traceid"):
		setHex(m.context(b3).TraceID[:], value)
	case ascii.Is(name, "x-b3-spanid"):
		setHex(m.context(b3).SpanID[:], value)
	case ascii.Is(name, "x-b3-sampled"):
		m.deny(b3, is(value, "0") || is(value, "false"))
	case ascii.Is(name, "uber-trace-id"):
		m.setJaeger(value)
	case ascii.Is(name, "x-datadog-trace-id"):
		setDecimal(m.context(datadog).TraceID[8:], value)
	case ascii.Is(name, "x-datadog-parent-id"):
		setDecimal(m.context(datadog).SpanID[:], value)
	case ascii.Is(name, "x-datadog-sampling-priority"):
		m.deny(datadog, is(value, "0") || is(value, "-1"))
	case ascii.Is(name, "x-datadog-tags"):
		m.setDatadogTags(value)
	case ascii.Is(name, "x-amzn-trace-id"):
		m.setXRay(value)
	case ascii.Is(name, "x-cloud-trace-context"):
		m.setGCP(value)
	case ascii.Is(name, "sw8"):
		m.setSkyWalking(value)
	}
}

// context is what is known of the trace context in a form.
func (m *Message) context(form propagator) *protocol.TraceContext {
	if m.propagated == nil {
		m.propagated = new(propagated)
	}
	return &m.propagated.contexts[form]
}

func (m *Message) deny(form propagator, denied bool) {
	m.context(form)
	m.propagated.denied[form] = m.propagated.denied[form] || denied
}

// setB3 reads "trace-span-sampled-parent", of which the last two may be missing.
func (m *Message) setB3(value []byte) {
	trace, rest, _ := bytes.Cut(value, dash)
	span, rest, _ := bytes.Cut(rest, dash)
	sampled, _, _ := bytes.Cut(rest, dash)
	c := m.context(b3)
	if setHex(c.TraceID[:], trace) && setHex(c.SpanID[:], span) {
		m.deny(b3, is(sampled, "0"))
	}
}

// setJaeger reads "trace:span:parent:flags"; leading zeros may be missing, and colons encoded as in URLs.
func (m *Message) setJaeger(value []byte) {
	var parts [4][]byte
	for i := range parts {
		at, length := bytes.IndexByte(value, ':'), 1
		if encoded := bytes.Index(value, encodedColon); encoded >= 0 && (at < 0 || encoded < at) {
			at, length = encoded, len(encodedColon)
		}
		if at < 0 {
			parts[i], value = value, nil
			break
		}
		parts[i], value = value[:at], value[at+length:]
	}
	c := m.context(jaeger)
	if setHex(c.TraceID[:], parts[0]) && setHex(c.SpanID[:], parts[1]) {
		flags := parts[3]
		m.deny(jaeger, len(flags) > 0 && hexDigit(flags[len(flags)-1])&1 == 0)
	}
}

// setDatadogTags reads the upper half of the trace id, which is one of the tags.
func (m *Message) setDatadogTags(value []byte) {
	for len(value) > 0 {
		var tag []byte
		tag, value, _ = bytes.Cut(value, comma)
		if upper, ok := bytes.CutPrefix(trim(tag), upperHalf); ok {
			setHex(m.context(datadog).TraceID[:8], upper)
		}
	}
}

// setXRay reads "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1". Load balancers add a Root without a Parent.
func (m *Message) setXRay(value []byte) {
	c := m.context(xray)
	for len(value) > 0 {
		var pair []byte
		pair, value, _ = bytes.Cut(value, semicolon)
		key, of, _ := bytes.Cut(trim(pair), equals)
		switch {
		case ascii.Is(key, "root"):
			if len(of) == len("1-5759e988-bd862e3fe1be46a994272793") && of[0] == '1' && of[1] == '-' && of[10] == '-' {
				var id [16]byte
				if setHex(id[:4], of[2:10]) && setHex(id[4:], of[11:]) {
					c.TraceID = id
				}
			}
		case ascii.Is(key, "parent"):
			setHex(c.SpanID[:], of)
		case ascii.Is(key, "sampled"):
			m.deny(xray, is(of, "0"))
		}
	}
}

// setGCP reads "105445aa7843bc8bf206b12000100000/1;o=1": the trace, the span as a decimal number, and whether it is sampled.
func (m *Message) setGCP(value []byte) {
	trace, rest, _ := bytes.Cut(value, slash)
	span, options, _ := bytes.Cut(rest, semicolon)
	c := m.context(gcp)
	if setHex(c.TraceID[:], trace) && setDecimal(c.SpanID[:], span) {
		m.deny(gcp, is(options, "o=0"))
	}
}

var (
	dash         = []byte{'-'}
	encodedColon = []byte("%3A")
	upperHalf    = []byte("_dd.p.tid=")
)

func is(value []byte, text string) bool { return string(value) == text }

// setHex sets an id that has not been set, from at most as many digits as it has. It returns false if they are none.
func setHex(id, digits []byte) bool {
	if len(digits) == 0 || len(digits) > 2*len(id) || !isZero(id) {
		return false
	}
	for _, c := range digits {
		if hexDigit(c) > 15 {
			return false
		}
	}
	for i, c := range digits {
		place := 2*len(id) - len(digits) + i
		id[place/2] |= hexDigit(c) << (4 * (1 - place%2))
	}
	return true
}

func isZero(id []byte) bool {
	for _, b := range id {
		if b != 0 {
			return false
		}
	}
	return true
}

// hexDigit is above 15 for other characters.
func hexDigit(c byte) byte {
	switch {
	case ascii.IsDigit(c):
		return c - '0'
	case ascii.IsLetter(c) && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	default:
		return 0xff
	}
}

// setDecimal sets an id of eight bytes that has not been set. It returns false if the digits are no 64-bit number.
func setDecimal(id, digits []byte) bool {
	const longest = len("18446744073709551615")
	if len(digits) > longest || !isZero(id) {
		return false
	}
	number, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return false
	}
	binary.BigEndian.PutUint64(id, number)
	return true
}

// Continue hands over what the request carries: a trace context, or an id. It is called when the head of the request is complete.
func (m *Message) Continue(to protocol.Sink, id protocol.ID) {
	requestID := m.ids.hash()
	if !m.parent.Valid() && m.propagated == nil && requestID == 0 {
		return
	}
	c := &m.pool.carried
	*c = protocol.Carried{Parent: m.parentContext(), RequestID: requestID}
	if c.Parent.Valid() || requestID != 0 {
		to.Continue(id, c)
	}
}

// parentContext is the request's trace context in the first form of the order that it has one in.
func (m *Message) parentContext() protocol.TraceContext {
	for _, form := range m.pool.propagation.order {
		if form == traceContext {
			if m.parent.Valid() {
				return m.withState(m.parent)
			}
		} else if p := m.propagated; p != nil && p.contexts[form].Valid() {
			parent := p.contexts[form]
			if !p.denied[form] {
				parent.Flags = sampled
			}
			return parent
		}
	}
	return protocol.TraceContext{}
}

// sampled is a flag of a trace (W3C Trace Context, 3.2.2.5).
const sampled = 1
