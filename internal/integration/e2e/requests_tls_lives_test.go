//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// living are programs that live longer than collectors: what may go wrong for them beside what may for all.
var living = []struct {
	name, server, client string
	environment          []string
	connections          int // that are open before the first collector is; 0: these are not compared
}{
	{name: "lives-go", server: "gohttp-stripped server ADDRESS", client: "gohttp-pie client ADDRESS -connections 4"},
	{name: "lives-python", server: "python3 server.py ADDRESS", client: "python3 client.py ADDRESS 4"},
	{name: "lives-node", server: "node server.js ADDRESS", client: "node client.js ADDRESS 4"},
	{name: "lives-gnutls", server: "python3 server.py ADDRESS", client: "python3 client.py ADDRESS 4", environment: []string{"TLS_WAY=blocking"}},
	// A thread for each connection, which waits in the library.
	{name: "lives-threads", server: "tls-server HOST PORT server", client: "gohttp-pie client ADDRESS -connections 1000", connections: 1000},
	// Calls of the library end on other threads than they began on.
	{name: "lives-fibers", server: "tls-server HOST PORT server", client: "tls-fibers HOST PORT 16 3", connections: 16},
	// Any other system call than those that the program makes would be its end.
	{name: "lives-filter", server: "gohttp-stripped server ADDRESS", client: "tls-client HOST PORT tls filter", connections: 1},
	{name: "lives-strict", server: "tls-server HOST PORT server", client: "tls-client HOST PORT tls strict", connections: 1},
}

// life is a workload of living.
type life struct {
	*scene
	client      *actor
	input       *os.File
	connections int
	sent        int
}

func begin(t *testing.T, builder *builder, over *secure) (all []*life) {
	t.Helper()
	for _, w := range living {
		s := newScene(t, builder, w.name)
		s.secure, s.environment = over, w.environment
		port := freePort(t)
		s.serve(s.command(w.server, "127.0.0.1", port), port)
		cmd := s.command(w.client, "127.0.0.1", port)
		l := &life{scene: s, input: pipe(t, cmd), connections: w.connections}
		l.client = s.start("client", cmd)
		all = append(all, l)
	}
	return all
}

// ask sends n requests of some kinds.
func (l *life) ask(n int, some []kind) {
	l.t.Helper()
	for range n {
		line := some[l.sent%len(some)].line(fmt.Sprintf("/%s/%d", l.name, l.sent))
		_, err := io.WriteString(l.input, line+"\n")
		require.NoError(l.t, err)
		l.remember([]string{line})
		l.sent++
	}
}

func (l *life) answered() {
	l.t.Helper()
	eventually(l.t, 60*time.Second, l.name+": the requests are answered", func() error {
		if !l.client.running() {
			return fmt.Errorf("the client has ended: %s", l.client.cmd.ProcessState)
		}
		if n := strings.Count(readFile(l.t, l.client.accounts), "\n"); n < l.sent {
			return fmt.Errorf("%d of %d", n, l.sent)
		}
		return nil
	})
}

// end has the client end by itself, which it does without an error if all that it was sent is right.
func (l *life) end() {
	l.t.Helper()
	require.NoError(l.t, l.input.Close())
	require.Zero(l.t, l.client.wait(60*time.Second), "exit code of %s: %s", l.name, readFile(l.t, l.client.stderr))
	require.True(l.t, l.actors[0].running(), "the server of %s", l.name)
	l.t.Logf("%s: %d requests", l.name, l.sent)
}

// restarts is how often collectors come and go. SOCKETFLOW_TEST_RESTARTS has another number.
func restarts(t *testing.T) int {
	t.Helper()
	n := 10
	if text := os.Getenv("SOCKETFLOW_TEST_RESTARTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	return n
}

// TestProgramsOutliveCollectors starts collectors beneath programs that are under load, and stops or kills them: nothing happens to the programs. At the
// end a collector sees each request of those that are special, on the connections that they have had all the time.
func TestProgramsOutliveCollectors(t *testing.T) {
	needRoot(t)
	builder := newBuilder(t)
	lives := begin(t, builder, newSecure(t))
	each := func(do func(l *life)) {
		for _, l := range lives {
			do(l)
		}
	}
	each(func(l *life) { l.ask(max(l.connections, 1), smallKinds()) })
	each((*life).answered)
	for i := range restarts(t) {
		c := startCollector(t, secureConfig(t, builder), collectorOptions{})
		eventually(t, 60*time.Second, "the collector is ready, under load", func() error {
			each(func(l *life) { l.ask(8, kinds) })
			each((*life).answered)
			if s, err := c.scrape(); err != nil || s.sum("socketflow_tls_libraries", "result", "observed") < 4+i%5 {
				return fmt.Errorf("it has not attached to the libraries: %w", err)
			}
			return nil
		})
		each(func(l *life) { l.ask(32, kinds) })
		if i%3 == 2 {
			require.Zero(t, c.stop(syscall.SIGTERM, 60*time.Second), "exit code of the collector")
		} else {
			c.stop(syscall.SIGKILL, 10*time.Second)
		}
	}
	each((*life).answered)
	requireQuietRequests(t, builder, lives)
	each((*life).end)
}

// smallKinds are the kinds of requests that are small: of those on older connections all waits that is read before the first is written.
func smallKinds() (small []kind) {
	for _, k := range kinds {
		if k.body <= 10 {
			small = append(small, k)
		}
	}
	return small
}

// requireQuietRequests has a collector see requests of programs that have outlived others.
func requireQuietRequests(t *testing.T, builder *builder, lives []*life) {
	t.Helper()
	c := runRequestCollector(t, strings.Replace(withRing("16MiB", "1s"), "socketflow:\n",
		fmt.Sprintf("socketflow:\n    include: [{executable: %q}]\n", builder.dir+"/*"), 1))
	lives = slices.DeleteFunc(slices.Clone(lives), func(l *life) bool { return l.connections == 0 })
	before := map[*life]int{}
	for _, l := range lives {
		for _, a := range l.actors {
			l.secure.awaitIn(c, a)
		}
		before[l] = l.sent
	}
	const rounds, requests = 8, 24 // at a time, so that few wait for their socket
	for round := range rounds {
		for _, l := range lives {
			if l.connections > requests || round == 0 {
				l.ask(requests, smallKinds())
			} else {
				l.ask(requests, kinds)
			}
		}
		for _, l := range lives {
			l.answered()
		}
	}
	accounts := map[*life][]account{}
	for _, l := range lives {
		for _, a := range l.accounts() {
			var number int
			_, err := fmt.Sscanf(a.Target, "/"+l.name+"/%d", &number)
			require.NoError(t, err)
			if number >= before[l] {
				a.joined = true
				accounts[l] = append(accounts[l], a)
			}
		}
		c.await(l.scene, accounts[l])
	}
	c.finish(t)
	var table comparisons
	for _, l := range lives {
		v := compareRequests(l.name, accounts[l], c.of(t, l.processes(accounts[l])))
		v.joinable = false // plaintext has no positions but from its beginning on
		table = append(table, v)
		v.requireExact(t)
	}
	t.Log(table)
}

// TestRequestsOfReplacedLibraries has a program use a library that another file has replaced since, and another program use that one.
func TestRequestsOfReplacedLibraries(t *testing.T) {
	needRoot(t)
	builder := newBuilder(t)
	over := newSecure(t)
	dir := openDir(t)
	install := func() {
		for _, name := range []string{"libssl.so.3", "libcrypto.so.3"} {
			from, err := filepath.Glob("/usr/lib/*/" + name)
			require.NoError(t, err)
			require.NotEmpty(t, from)
			copyFile(t, from[0], filepath.Join(dir, "new"))
			require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)))
		}
	}
	install()
	s := newScene(t, builder, "tls-replaced")
	s.secure = over
	s.environment = []string{"LD_LIBRARY_PATH=" + dir}
	port := freePort(t)
	s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", port), port)
	old := libraries(t, s.actors[0].pid())
	install()

	c := runRequestCollector(t, secureConfig(t, builder))
	over.collector = c
	over.awaitIn(c, s.actors[0])
	s.ask(s.command("python3 client.py ADDRESS 4", "127.0.0.1", port), s.plan(64))
	require.NotEqual(t, old, libraries(t, s.actors[0].pid()), "the files of the server are gone")
	accounts := s.accounts()
	c.await(s, accounts)
	c.finish(t)
	v := compareRequests(s.name, accounts, c.of(t, s.processes(accounts)))
	v.requireExact(t)
}
