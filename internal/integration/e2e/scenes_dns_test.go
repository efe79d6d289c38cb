//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	sources["lookups"] = struct{ dir, build string }{"grpc", "go build -o OUTPUT ./lookups"}
}

const (
	// dnsHost is an address that no other resolver has, on the port that programs cannot choose.
	dnsHost    = "127.113.0.1"
	dnsPort    = 53
	dnsLookups = 6000 // in three seconds
)

const unboundConfig = `
server:
	interface: %s
	port: %d
	username: ""
	chroot: ""
	directory: "."
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	num-threads: 1
	module-config: "iterator"
	do-not-query-localhost: no
	outbound-msg-retry: 1
	max-sent-count: 1
	unknown-server-time-limit: 50
	access-control: 127.0.0.0/8 allow
	local-zone: "deny." always_deny
	local-zone: "test." static
%s
forward-zone:
	name: "servfail."
	forward-addr: 127.0.0.1@%d
`

// serveNames serves names from unbound's local data.
func (s *scene) serveNames(dir, data string) *actor {
	s.t.Helper()
	config := fmt.Sprintf(unboundConfig, dnsHost, dnsPort, data, freePort(s.t))
	unbound := testenv.NeedProgram(s.t, "unbound", "unbound", "/usr/sbin/unbound")
	cmd := exec.Command(unbound, "-d", "-c", writeFile(s.t, filepath.Join(dir, "unbound.conf"), config))
	cmd.Dir = dir
	return s.serve(cmd, dnsPort)
}

// resolving is a command whose names are those of serveNames.
func resolving(t testing.TB, dir, words string) *exec.Cmd {
	t.Helper()
	resolv := writeFile(t, filepath.Join(dir, "resolv.conf"), "nameserver "+dnsHost+"\nsearch search.test\n")
	return exec.Command(testenv.NeedProgram(t, "util-linux", "unshare"), "--mount", "sh", "-c",
		"mount --bind "+resolv+" /etc/resolv.conf && exec "+words)
}

// lookup is what of a query and its answer belongs together.
type lookup struct{ name, code, answer string }

// TestLookups compares the spans of DNS with what the names say: the load's names have the answer in them.
func TestLookups(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	s := newScene(t, builder, "dns")
	var data strings.Builder
	local := func(name, kind, value string) { fmt.Fprintf(&data, "\tlocal-data: '%s. %s %s'\n", name, kind, value) }
	want := map[lookup]int{}
	for i := range dnsLookups {
		name, address := fmt.Sprintf("l%d.test", i), fmt.Sprintf("10.9.%d.%d", i>>8, i&0xff)
		local(name, "A", address)
		want[lookup{name, "NOERROR", address}] = 2
	}
	for name, n := range map[string]int{"dig.test": 1, "getent.test": 1, "resolver.test": 2, "node.test": 1} {
		local(name, "A", "10.8.0.1")
		want[lookup{name, "NOERROR", "10.8.0.1"}] = n
	}
	for i := range 10 {
		local("big.test", "TXT", fmt.Sprintf(`"%d%s"`, i, strings.Repeat("t", 100)))
	}
	want[lookup{"big.test", "NOERROR", ""}] = 2 // once over UDP, which has no room for it, and once over TCP
	want[lookup{"nothing.test", "NXDOMAIN", ""}] = 1
	want[lookup{"a.servfail", "SERVFAIL", ""}] = 1
	want[lookup{"a.deny", "", ""}] = 1

	dir := openDir(t)
	server := s.serveNames(dir, data.String())
	run := func(codes []int, cmd *exec.Cmd) {
		t.Helper()
		a := s.start("client", cmd)
		require.Contains(t, codes, a.wait(60*time.Second), "%s: %s%s", cmd, readFile(t, a.stdout), readFile(t, a.stderr))
	}
	dig := testenv.NeedProgram(t, "bind9-dnsutils", "dig")
	for _, words := range []string{"dig.test A", "nothing.test A", "a.servfail A +tries=1 +timeout=20", "big.test TXT +noedns", "a.deny A +tries=1 +timeout=1"} {
		arguments := append([]string{"@" + dnsHost}, strings.Fields(words)...)
		run([]int{0, 9}, exec.Command(dig, arguments...)) // 9: no answer
	}
	run([]int{0}, resolving(t, dir, "getent ahostsv4 getent.test"))
	run([]int{0}, exec.Command(testenv.NeedProgram(t, "nodejs", "node"), "-e",
		`const r = new (require("dns").Resolver)(); r.setServers(["`+dnsHost+`"]); r.resolve4("node.test", (e) => { if (e) throw e; });`))
	for _, sockets := range []string{"one", "each"} {
		run([]int{0}, s.command(fmt.Sprintf("lookups ADDRESS %d %s", dnsLookups, sockets), dnsHost, dnsPort))
	}

	clients := map[int]bool{}
	for _, a := range s.actors[1:] {
		clients[a.pid()] = true
	}
	ends := []struct {
		kind ptrace.SpanKind
		pids map[int]bool
	}{{ptrace.SpanKindClient, clients}, {ptrace.SpanKindServer, map[int]bool{server.pid(): true}}}
	emitted := func(c *requestCollector, end int) map[lookup]int {
		found := map[lookup]int{}
		for _, span := range c.of(t, ends[end].pids) {
			if name := span.text("dns.question.name"); name != "" && span.kind == ends[end].kind {
				answers, _ := span.attributes["dns.answers"].([]any)
				found[lookup{strings.TrimSuffix(name, "."), span.text("socketflow.dns.response.code"), strings.Trim(fmt.Sprint(answers), "[]")}]++
			}
		}
		return found
	}
	// What is missing after some time is said below.
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		complete := true
		for _, c := range b.modes {
			complete = complete && maps.Equal(want, emitted(c, 0)) && maps.Equal(want, emitted(c, 1))
		}
		if complete {
			break
		}
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		for end := range ends {
			found := emitted(c, end)
			var wrong []string
			for l, n := range want {
				if found[l] != n {
					wrong = append(wrong, fmt.Sprintf("%+v is emitted %d times, not %d", l, found[l], n))
				}
				delete(found, l)
			}
			requireNone(t, fmt.Sprintf("wrong in %s mode, %s", comparedModes[i], ends[end].kind), wrong)
			assert.Empty(t, found, "%s mode, %s", comparedModes[i], ends[end].kind)
		}
	}
}
