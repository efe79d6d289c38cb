package trace

// Source is a kind of evidence for the parent of a span.
type Source uint8

// The kinds, the most certain first.
const (
	SourceNone      Source = iota
	SourceWire             // a header of the request names it
	SourcePeer             // it is the other end of the connection
	SourceThread           // the thread that sent the request had read another one, whose answer is the only one that it owed
	SourceGoroutine        // the goroutine that sent it had read another one, and not answered yet, or had been started since by one that had
	SourceRequestID        // both have the same X-Request-ID or X-Correlation-ID, and no other request of the process had
	SourceHandoff          // a goroutine that had read another one waited for the one that sent it
	SourceCallback         // the thread had read another one last, and no further one since it had looked for events or sent something
	SourceForward          // a proxy, which had one request with the same method and target to answer
	SourceOnly             // the process had no other one to answer
	SourceLast             // the thread had read another one last, behind further ones
	SourcesCount
)

var sourceNames = [SourcesCount]string{"", "wire", "peer", "thread", "goroutine", "request_id", "handoff", "callback", "forward", "only", "last"}

// String is the value of socketflow.parent.source.
func (s Source) String() string {
	if s < SourcesCount {
		return sourceNames[s]
	}
	return "unknown"
}

// isOfThread reports whether a kind says something about the thread or the goroutine that sent a request: what this sends when it has got the answer
// has the same cause. One of a pool may have something else to do.
func (s Source) isOfThread() bool {
	return s > SourcePeer && s != SourceRequestID && s != SourceForward && s != SourceOnly
}

// Sources is a set of kinds.
type Sources uint16

// SourcesOf is a set of kinds.
func SourcesOf(all ...Source) (s Sources) {
	for _, source := range all {
		s |= 1 << source
	}
	return s
}

// Choices of what becomes a parent.
var (
	Off     = SourcesOf(SourceWire, SourcePeer)                                                                                         // nothing within a process
	Certain = Off | SourcesOf(SourceThread, SourceGoroutine, SourceRequestID, SourceHandoff, SourceCallback, SourceForward, SourceOnly) // as measured: docs/causality.md
	Likely  = Certain | SourcesOf(SourceLast)
)

// Has reports whether a kind is in the set.
func (s Sources) Has(source Source) bool { return s>>source&1 != 0 }

// withinProcess reports whether there is a kind of evidence within a process among them.
func (s Sources) withinProcess() bool { return s&^Off != 0 }
