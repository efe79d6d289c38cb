//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// judgedRequests are written badly. What a server makes of them is its own affair.
var judgedRequests = map[string]string{
	"a good one":           "GET /good HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	"method in lower case": "get /lower HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	"two spaces":           "GET  /spaces HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	"bare line feeds":      "GET /bare HTTP/1.1\nHost: h\nConnection: close\n\n",
	"unknown method":       "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJ /unknown HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	"target with a space":  "GET /a target HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	"no host":              "GET /nohost HTTP/1.1\r\nConnection: close\r\n\r\n",
	"version 0.9":          "GET /\r\n",
}

// TestServersJudgeRequests sends bad requests to servers. An answer with a status makes it an exchange with this status, at both ends,
// as the client has read it; without one there is none.
func TestServersJudgeRequests(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	// unknown is a port in syscall mode that nothing has asked for before the connection ended (docs/modes.md).
	const unknown = -1
	type judged struct {
		name     string
		client   int         // process
		port     int         // of the server
		statuses map[int]int // by the port of the client
		of       map[int]string
	}
	var all []judged
	for name, run := range map[string]func(*scene) int{
		"nginx": func(s *scene) int {
			port, _ := s.runNginx()
			return port
		},
		"go":   servedBy("gohttp server ADDRESS"),
		"node": servedBy("node server.js ADDRESS"),
	} {
		t.Run("play "+name, func(t *testing.T) {
			s := newScene(t, builder, "judged-"+name)
			port := run(s)
			var names, plan []string
			for name, request := range judgedRequests {
				line, err := json.Marshal(latin1(request))
				require.NoError(t, err)
				names, plan = append(names, name), append(plan, string(line))
			}
			client := s.ask(s.command("python3 raw.py HOST PORT", "127.0.0.1", port), plan)
			j := judged{name: name, client: client.pid(), port: port, statuses: map[int]int{}, of: map[int]string{}}
			for line := range strings.Lines(readFile(t, client.stdout)) {
				var answer struct{ Port, Status int }
				require.NoError(t, json.Unmarshal([]byte(line), &answer))
				j.of[answer.Port] = names[len(j.of)]
				if answer.Status != 0 {
					j.statuses[answer.Port] = answer.Status
				}
			}
			require.Len(t, j.of, len(plan))
			if name == "nginx" {
				requireLogged(t, s, j.statuses)
			}
			for _, c := range b.modes {
				// Which ones are missing is said below.
				for end := time.Now().Add(3 * time.Second); time.Now().Before(end) &&
					len(c.judged(t, ptrace.SpanKindClient, "network.local.port", port)) < len(j.statuses); time.Sleep(50 * time.Millisecond) {
				}
			}
			all = append(all, j)
		})
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		for _, j := range all {
			t.Run(comparedModes[i]+" "+j.name, func(t *testing.T) {
				for kind, attribute := range map[ptrace.SpanKind]string{
					ptrace.SpanKindClient: "network.local.port", ptrace.SpanKindServer: "network.peer.port",
				} {
					emitted := c.judged(t, kind, attribute, j.port)
					for port, what := range j.of {
						var want []int
						if status := j.statuses[port]; status != 0 {
							want = []int{status}
						}
						if kind == ptrace.SpanKindServer && want == nil && slices.Equal(emitted[port], []int{400}) {
							want = emitted[port] // the server has answered when the client had given up
						}
						if at := slices.Index(emitted[unknown], j.statuses[port]); comparedModes[i] == "syscall" && len(emitted[port]) == 0 && at >= 0 {
							emitted[port], emitted[unknown] = want, slices.Delete(emitted[unknown], at, at+1)
						}
						assert.ElementsMatch(t, want, emitted[port], "%s span for %s", kind, what)
					}
					assert.Empty(t, emitted[unknown], "%s spans of requests that nobody has sent", kind)
				}
			})
		}
	}
}

func servedBy(command string) func(*scene) int {
	return func(s *scene) int {
		port := freePort(s.t)
		s.serve(s.command(command, "127.0.0.1", port), port)
		return port
	}
}

// latin1 is a text whose characters are the bytes of another.
func latin1(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// judged are the statuses of the requests that a server at a port has answered, by the value of an attribute: the client's port.
func (c *requestCollector) judged(t testing.TB, kind ptrace.SpanKind, attribute string, port int) map[int][]int {
	t.Helper()
	server := map[string]string{"network.local.port": "network.peer.port", "network.peer.port": "network.local.port"}[attribute]
	found := map[int][]int{}
	for _, s := range c.traces.all(t) {
		if s.request() && s.kind == kind && s.number(server) == port {
			found[s.number(attribute)] = append(found[s.number(attribute)], s.number("http.response.status_code"))
		}
	}
	return found
}

// requireLogged compares what the client has read with the log of nginx, which has no line for some of what it answers.
func requireLogged(t *testing.T, s *scene, statuses map[int]int) {
	t.Helper()
	nginx := s.actors[slices.IndexFunc(s.actors, func(a *actor) bool { return strings.HasSuffix(a.service, "-nginx") })]
	for line := range strings.Lines(readFile(t, nginx.accounts)) {
		var logged struct {
			Status int
			Peer   accountEnd
		}
		require.NoError(t, json.Unmarshal([]byte(line), &logged), line)
		if status := statuses[int(logged.Peer.Port)]; status != 0 {
			assert.Equal(t, status, logged.Status, line)
		}
	}
}
