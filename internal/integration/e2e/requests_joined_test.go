//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type olderWorkload struct {
	name, server, client string
	// lossy: requests may refer to what was sent before (RFC 7541 section 2.3.2, the dynamic table). Their spans have the
	// known facts only, and no false ones.
	lossy       bool
	environment []string
}

// TestRequestsOnOlderConnections has connections that carried requests before the collector started. Their later requests are
// emitted; the earlier ones are not.
func TestRequestsOnOlderConnections(t *testing.T) {
	requestsOnOlderConnections(t, "socket", nil, []olderWorkload{
		{name: "go", server: "gohttp server ADDRESS", client: "gohttp client ADDRESS"},
		{name: "python", server: "python3 server.py ADDRESS", client: "python3 client.py ADDRESS 1"},
		{name: "node", server: "node server.js ADDRESS", client: "node client.js ADDRESS 1"},
		{name: "ruby", server: "ruby puma.rb ADDRESS", client: "ruby client.rb ADDRESS 1"},
		{name: "go-h2c", server: "gohttp server ADDRESS", client: "gohttp client ADDRESS -streams 1", lossy: true},
	})
}

func requestsOnOlderConnections(t *testing.T, mode string, over *secure, workloads []olderWorkload) {
	t.Helper()
	builder := newBuilder(t)
	var table comparisons
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			const before, after = 20, 48
			s := newScene(t, builder, "older-"+w.name)
			s.secure, s.environment = over, w.environment
			port := freePort(t)
			s.serve(s.command(w.server, "127.0.0.1", port), port)
			cmd := s.command(w.client, "127.0.0.1", port)
			input := pipe(t, cmd)
			client := s.start("client", cmd)

			old := map[string]bool{}
			send := func(path string, n int) {
				for i := range n {
					k := kinds[i%len(kinds)]
					line := k.line(fmt.Sprintf("/%s/%s/%d", s.name, path, i))
					if i == 0 {
						line = (&kind{method: "GET"}).line(fmt.Sprintf("/%s/%s/first", s.name, path))
					}
					_, err := io.WriteString(input, line+"\n")
					require.NoError(t, err)
					s.remember([]string{line})
				}
			}
			awaitAccounts := func(n int) {
				eventually(t, 30*time.Second, "the requests are answered", func() error {
					all, err := s.accountsOf(client)
					if err == nil && len(all) < n {
						err = fmt.Errorf("%d of %d", len(all), n)
					}
					return err
				})
			}
			send("before", before)
			awaitAccounts(before)
			for _, a := range s.accounts() {
				old[a.Target] = true
			}
			c := runRequestCollector(t, inMode(mode, withRing("16MiB", "1s")))
			c.mode = mode
			for _, a := range s.actors {
				over.awaitIn(c, a)
			}
			send("after", after)
			awaitAccounts(before + after)
			require.NoError(t, input.Close())
			require.Zero(t, client.wait(30*time.Second), "exit code of the client")

			var accounts []account
			connections := map[accountEnd]bool{}
			for _, a := range s.accounts() {
				connections[a.Local] = true
				if !old[a.Target] {
					a.joined = true // its requests come too quickly after each other for a proof
					accounts = append(accounts, a)
				}
			}
			require.Len(t, connections, 2, "it is one connection, with two ends")
			c.await(s, accounts)
			lost := c.finish(t)
			spans := c.of(t, s.processes(accounts))
			if w.lossy {
				requireNone(t, "emitted, and not true", lies(accounts, spans))
				return
			}
			if over != nil {
				accounts, spans = s.withoutFirst(accounts, spans)
			}
			v := lost.compare(s.name, accounts, spans)
			v.joinable = v.joinable && over == nil // plaintext has no positions but from its beginning on
			table = append(table, v)
			v.requireExact(t)
		})
	}
	t.Log(table)
}

// withoutFirst leaves out the first exchange: an end that was reading when the collector started is not seen to read. What is emitted of it is true.
func (s *scene) withoutFirst(accounts []account, spans []requestSpan) (otherAccounts []account, otherSpans []requestSpan) {
	s.t.Helper()
	path := fmt.Sprintf("/%s/after/first", s.name)
	var first []account
	for _, a := range accounts {
		if a.Target == path {
			first = append(first, a)
		} else {
			otherAccounts = append(otherAccounts, a)
		}
	}
	var its []requestSpan
	for _, span := range spans {
		if f := span.fact(); f.path == path {
			its = append(its, span)
		} else {
			otherSpans = append(otherSpans, span)
		}
	}
	requireNone(s.t, "emitted, and not true", lies(first, its))
	return otherAccounts, otherSpans
}
