//go:build e2e && linux

package e2e

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// joinEnds verifies that the span of a server is the child of its client's span, and one of a client whose cause was found the child of a request of the
// same process, in one trace. It gives all of them the parent that is on the wire, if there is one. It returns how many servers' spans have a client's
// span, by the ports of the connection, how many are joined with it, how many spans have a parent that was not emitted, and what is wrong.
func joinEnds(spans []requestSpan) (both, joined, orphans int, wrong []string) {
	byID, connected := map[string]*requestSpan{}, map[string]bool{}
	for i := range spans {
		s := &spans[i]
		byID[s.spanID] = s
		if s.kind == ptrace.SpanKindClient {
			connected[ends(s, "network.local", "network.peer")] = true
		}
	}
	ofWire := make([]string, len(spans))
	for i := range spans {
		s := &spans[i]
		ofWire[i] = wireParent(s, byID)
		isServer := s.kind == ptrace.SpanKindServer && s.request()
		overTCP := s.text("network.transport") == "tcp"
		if isServer && overTCP && connected[ends(s, "network.peer", "network.local")] {
			both++
		}
		if s.parent == "" || !isServer && !hasCause(s) {
			continue
		}
		parent := byID[s.parent]
		if parent == nil {
			s.orphan = true
			orphans++
			continue
		}
		if isServer && overTCP {
			joined++
		}
		if parent.traceID != s.traceID || !isParent(parent, s) {
			of, is := parent.fact(), s.fact()
			wrong = append(wrong, fmt.Sprintf("%s, trace %s, is by %q the child of %s, trace %s", is.subject(), s.traceID,
				s.text("socketflow.parent.source"), of.subject(), parent.traceID))
		}
	}
	for i := range spans {
		spans[i].parent = ofWire[i]
	}
	return both, joined, orphans, wrong
}

// hasCause reports whether the span of a client is the child of a request of the same process.
func hasCause(s *requestSpan) bool {
	source := s.text("socketflow.parent.source")
	return s.kind == ptrace.SpanKindClient && source != "" && source != "wire"
}

// isParent reports whether a span may be the parent of another one. Of the programs here only proxies answer requests and send some: they pass on what
// they are asked for.
func isParent(parent, s *requestSpan) bool {
	if s.kind == ptrace.SpanKindClient {
		asked, sent := parent.fact(), s.fact()
		return parent.kind == ptrace.SpanKindServer && parent.pid() == s.pid() && asked.path == sent.path && asked.query == sent.query
	}
	return parent.kind == ptrace.SpanKindClient && ends(parent, "network.local", "network.peer") == ends(s, "network.peer", "network.local") &&
		(parent.name == s.name || s.text("rpc.system.name") != "")
}

// wireParent is the parent of a span, or of the first of its ancestors, that was not emitted.
func wireParent(s *requestSpan, byID map[string]*requestSpan) string {
	for depth := 0; depth < len(byID); depth++ {
		parent := byID[s.parent]
		if parent == nil || s.kind == ptrace.SpanKindClient && !hasCause(s) {
			break
		}
		s = parent
	}
	return s.parent
}

// ends are the ports and addresses of a span's connection, from one end to the other; of a Unix socket, the name that one of them has.
func ends(s *requestSpan, from, to string) string {
	if s.text("network.transport") == "unix" {
		return s.text("network.local.address") + s.text("network.peer.address")
	}
	return fmt.Sprint(s.text(from+".address"), s.number(from+".port"), s.text(to+".address"), s.number(to+".port"))
}
