//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProgramsOutliveCollectors starts a collector 20 times beneath programs that are under load, and kills it: nothing happens to them.
func TestProgramsOutliveCollectors(t *testing.T) {
	needRoot(t)
	builder := newBuilder(t)
	over := newSecure(t)
	type pair struct {
		*scene
		client *actor
		input  *os.File
		sent   int
	}
	var pairs []*pair
	for _, w := range []struct{ name, server, client string }{
		{"lives-go", "gohttp-stripped server ADDRESS", "gohttp-pie client ADDRESS -connections 4"},
		{"lives-python", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4"},
		{"lives-node", "node server.js ADDRESS", "node client.js ADDRESS 4"},
		{"lives-gnutls", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4"},
	} {
		s := newScene(t, builder, w.name)
		s.secure = over
		if w.name == "lives-gnutls" {
			s.environment = []string{"TLS_WAY=blocking"}
		}
		port := freePort(t)
		s.serve(s.command(w.server, "127.0.0.1", port), port)
		cmd := s.command(w.client, "127.0.0.1", port)
		input := pipe(t, cmd)
		pairs = append(pairs, &pair{scene: s, client: s.start("client", cmd), input: input})
	}
	ask := func(n int) {
		for _, p := range pairs {
			for range n {
				k := kinds[p.sent%len(kinds)]
				_, err := io.WriteString(p.input, k.line(fmt.Sprintf("/%s/%d", p.name, p.sent))+"\n")
				require.NoError(t, err)
				p.sent++
			}
		}
	}
	answered := func() {
		t.Helper()
		for _, p := range pairs {
			eventually(t, 60*time.Second, p.name+": the requests are answered", func() error {
				all, err := p.accountsOf(p.client)
				if err == nil && len(all) < p.sent {
					err = fmt.Errorf("%d of %d", len(all), p.sent)
				}
				return err
			})
		}
	}
	for i := range 20 {
		c := startCollector(t, secureConfig(t, builder), collectorOptions{})
		eventually(t, 60*time.Second, "the collector is ready, under load", func() error {
			ask(16)
			answered()
			if s, err := c.scrape(); err != nil || s.sum("socketflow_tls_libraries", "result", "observed") < 4+i%5 {
				return fmt.Errorf("it has not attached to the libraries: %w", err)
			}
			return nil
		})
		ask(48)
		c.stop(syscall.SIGKILL, 10*time.Second)
	}
	answered()
	for _, p := range pairs {
		require.NoError(t, p.input.Close())
		require.Zero(t, p.client.wait(60*time.Second), "exit code of %s: %s", p.name, readFile(t, p.client.stderr))
		t.Logf("%s: %d accounts", p.name, len(p.accounts()))
	}
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
