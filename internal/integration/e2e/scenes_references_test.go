//go:build e2e && linux

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() {
	sources["references"] = struct{ dir, build string }{"grpc", "go build -o OUTPUT ./references"}
}

// TestReferencesToLongHeadersCostLittle has many requests refer to one header of 4 kB each, on many connections, and stay open.
// They fill what the receiver may hold: it stays small all the same, and observes others meanwhile.
func TestReferencesToLongHeadersCostLittle(t *testing.T) {
	// Each end would take 640 MiB if the requests had the header each.
	const (
		requests   = 40 * 4095
		header     = 4                     // KiB
		mostMemory = requests * header / 3 // with garbage
		mostTime   = 30 * time.Second
	)
	builder := newBuilder(t)
	for _, mode := range comparedModes {
		t.Run(mode, func(t *testing.T) {
			c := runRequestCollector(t, strings.Replace(withRing("16MiB", "200ms"), "socketflow:\n", "socketflow:\n    mode: "+mode+"\n", 1))
			c.mode = mode
			before := c.memory("RssAnon")
			hostile := newScene(t, builder, "references")
			port := freePort(t)
			hostile.serve(hostile.command("references server ADDRESS", "127.0.0.1", port), port)
			cmd := hostile.command("references client ADDRESS", "127.0.0.1", port)
			input := pipe(t, cmd)
			client := hostile.start("client", cmd)
			eventually(t, 30*time.Second, "everything is sent", func() error {
				if text := readFile(t, client.stdout); !strings.HasSuffix(text, "\n") {
					return fmt.Errorf("it has written %q", text)
				}
				return nil
			})
			t.Log(readFile(t, client.stdout))

			s := newScene(t, builder, "meanwhile")
			port = freePort(t)
			s.serve(s.command("gohttp server ADDRESS", "127.0.0.1", port), port)
			plan := make([]string, 2000) // without bodies: the ring buffers have room for all of it
			for i := range plan {
				k := kind{method: "GET", query: fmt.Sprint("status=", 200+i%3*100+i%5)}
				plan[i] = k.line(fmt.Sprint("/meanwhile/", i))
			}
			s.ask(s.command("gohttp client ADDRESS -connections 4", "127.0.0.1", port), plan)
			accounts := s.accounts()
			c.await(s, accounts)
			after := c.memory("RssAnon")
			t.Logf("RssAnon %d KiB, before %d; VmRSS %d, at most %d", after, before, c.memory("VmRSS"), c.memory("VmHWM"))
			assert.Less(t, after-before, mostMemory, "KiB of its own more than before")

			began := time.Now()
			lost := c.finish(t)
			t.Logf("it ended in %v", time.Since(began))
			assert.Less(t, time.Since(began), mostTime)
			require.NoError(t, input.Close())
			require.Zero(t, client.wait(30*time.Second))
			_ = client.stop(syscall.SIGTERM, time.Second)
			v := lost.compare(s.name, accounts, c.of(t, s.processes(accounts))) // the hostile requests take the room of others that wait for their batch
			// In the syscall mode ends are joined later, when the hostile ones may have taken the room of all.
			if mode == "socket" {
				assert.Greater(t, v.joined, v.both/4, "SERVER spans that are children of their CLIENT's: what is missing is counted, see requireExact")
			}
			v.requireExact(t)
			t.Log(comparisons{v})
		})
	}
}

// memory is a size of the collector, in KiB: such as RssAnon, which leaves out the program and the ring buffers (proc(5)).
func (c *collector) memory(which string) (size int) {
	c.t.Helper()
	for line := range strings.Lines(readFile(c.t, fmt.Sprintf("/proc/%d/status", c.pid()))) {
		if value, ok := strings.CutPrefix(line, which+":"); ok {
			_, err := fmt.Sscan(value, &size)
			require.NoError(c.t, err)
		}
	}
	return size
}
