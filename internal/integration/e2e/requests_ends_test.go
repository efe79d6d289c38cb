//go:build e2e && linux

package e2e

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// joinEnds verifies that the span of a server is the child of its client's span, in one trace, and gives it the parent that is on the wire, if
// there is one. It returns how many servers' spans have a client's span, by the ports of the connection, how many are joined with it, how many have
// a parent that was not emitted, and what is wrong.
func joinEnds(spans []requestSpan) (both, joined, orphans int, wrong []string) {
	clients, connected := map[string]*requestSpan{}, map[string]bool{}
	for i := range spans {
		if s := &spans[i]; s.kind == ptrace.SpanKindClient {
			clients[s.spanID] = s
			connected[ends(s, "network.local", "network.peer")] = true
		}
	}
	for i := range spans {
		s := &spans[i]
		if s.kind != ptrace.SpanKindServer || !s.request() {
			continue
		}
		ofClient := ends(s, "network.peer", "network.local")
		if connected[ofClient] && s.text("network.transport") == "tcp" {
			both++
		}
		if s.parent == "" {
			continue
		}
		client := clients[s.parent]
		if client == nil {
			s.orphan = true
			orphans++
			continue
		}
		if s.text("network.transport") == "tcp" {
			joined++
		}
		if ends(client, "network.local", "network.peer") != ofClient || client.traceID != s.traceID || client.name != s.name && s.text("rpc.system.name") == "" {
			wrong = append(wrong, fmt.Sprintf("%s of pid %d, trace %s, is the child of %s of pid %d, trace %s", s.name, s.pid(), s.traceID,
				client.name, client.pid(), client.traceID))
		}
		s.parent = client.parent
	}
	return both, joined, orphans, wrong
}

// ends are the ports and addresses of a span's connection, from one end to the other; of a Unix socket, the name that one of them has.
func ends(s *requestSpan, from, to string) string {
	if s.text("network.transport") == "unix" {
		return s.text("network.local.address") + s.text("network.peer.address")
	}
	return fmt.Sprint(s.text(from+".address"), s.number(from+".port"), s.text(to+".address"), s.number(to+".port"))
}
