package receiver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/receiver"
)

// Both ends of a request within TLS are spans as without it, whatever the library. Of all kernels with the socket mode.
func TestRequestsWithinTLS(t *testing.T) {
	needPrivilege(t)
	t.Run("Go", func(t *testing.T) {
		const connections, each = 4, 8
		run := begin(t, command(t, "secure", "-connections", fmt.Sprint(connections), "-n", fmt.Sprint(each)))
		o := observe(t, receiver.ModeSocket, withTLS)
		o.awaitLibraries(t, ownExecutable(t))
		pass(t, run, "ready")
		require.NoError(t, run.Await("done"))
		o.awaitSpans(t, run.PID(), 2*connections*each)
		require.NoError(t, run.Continue())
		ends := end(t, run)
		o.shutdown(t)
		require.Len(t, ends, 2*connections)
		sides := splitSides(o.of(run.PID()).spans)
		sides.verify(t, connections*each)
		for _, e := range ends {
			spans := sides.servers
			if e.Role == workload.Client {
				spans = sides.clients
			}
			here := slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return localOf(s) != e.Local || peerOf(s) != e.Remote })
			assert.Len(t, here, each, "%s %s to %s", e.Role, e.Local, e.Remote)
		}
	})
	t.Run("OpenSSL", func(t *testing.T) {
		const requests = 5
		o := observe(t, receiver.ModeSocket, withTLS)
		dialogues := map[string]*dialogue{"user space": newDialogue(t)}
		before, encrypts := encrypted(t)
		if encrypts {
			dialogues["kTLS"] = newDialogue(t, "-ktls")
		}
		o.awaitLibraries(t, "/libssl.so.3", "/libcrypto.so.3")
		for _, d := range dialogues {
			d.connect()
			for i := range requests {
				d.exchange(fmt.Sprintf("/requests/%d", i))
			}
			for _, pid := range d.pids() {
				o.awaitSpans(t, pid, requests)
			}
		}
		after, _ := encrypted(t)
		o.shutdown(t)
		for name, d := range dialogues {
			t.Run(name, func(t *testing.T) {
				var spans []span
				for _, pid := range d.pids() {
					spans = append(spans, o.of(pid).spans...)
				}
				sides := splitSides(spans)
				sides.verify(t, requests)
				for _, s := range sides.clients {
					assert.Equal(t, d.address, peerOf(s).String())
				}
				if name == "kTLS" {
					assert.Equal(t, before+2, after, "connections whose ends have the kernel encrypt")
				}
			})
		}
	})
}

// encrypted is how many times a program has had the kernel encrypt what a connection sends; false: this kernel does not, or the module for it is not
// loaded (Documentation/networking/tls.rst).
func encrypted(t *testing.T) (times int, can bool) {
	t.Helper()
	stat, err := os.ReadFile("/proc/net/tls_stat")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^TlsTxSw\s+(\d+)$`).FindSubmatch(stat)
	require.NotNil(t, found, string(stat))
	times, err = strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return times, true
}

// withTLS looks into all TLS libraries, on emulated machines too.
func withTLS(cfg *receiver.Config) {
	roomy(cfg)
	cfg.TLS = receiver.NewFactory().CreateDefaultConfig().(*receiver.Config).TLS
}

// awaitLibraries waits until calls of libraries are seen, in files whose paths end so.
func (o *observation) awaitLibraries(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		await(t, "a look into "+file, func() bool {
			for _, entry := range o.logged.FilterMessageSnippet("watching TLS calls of").All() {
				if path, _ := entry.ContextMap()["file"].(string); strings.HasSuffix(path, file) {
					return true
				}
			}
			return false
		})
	}
}

// awaitSpans waits for so many spans of a process.
func (o *observation) awaitSpans(t *testing.T, pid, want int) {
	t.Helper()
	if !within(func() bool { return len(o.of(pid).spans) >= want }) {
		t.Errorf("%d spans of process %d, want %d", len(o.of(pid).spans), pid, want)
	}
}

func localOf(s span) netip.AddrPort {
	return endpoint(s.Attributes(), "network.local.address", "network.local.port")
}

func peerOf(s span) netip.AddrPort {
	return endpoint(s.Attributes(), "network.peer.address", "network.peer.port")
}

// bothSides are the spans of requests at both ends.
type bothSides struct{ clients, servers []span }

func splitSides(spans []span) (s bothSides) {
	for _, one := range spans {
		if one.Kind() == ptrace.SpanKindClient {
			s.clients = append(s.clients, one)
		} else {
			s.servers = append(s.servers, one)
		}
	}
	return s
}

// verify checks that there is one span at each end of so many requests, for /requests/0 and so on.
func (s bothSides) verify(t *testing.T, requests int) {
	t.Helper()
	assert.Len(t, s.clients, requests)
	assert.Len(t, s.servers, requests)
	at := map[string]span{}
	for _, server := range s.servers {
		a := server.Attributes()
		at[text(a, "url.path")] = server
		assert.Equal(t, "https", text(a, "url.scheme"))
	}
	assert.Len(t, at, requests)
	for _, client := range s.clients {
		url := text(client.Attributes(), "url.full")
		path, secure := strings.CutPrefix(url, "https://workload.test")
		server, found := at[path]
		if !assert.True(t, secure && found, url) {
			continue
		}
		delete(at, path)
		assert.Equal(t, localOf(client), peerOf(server), url)
		assert.Equal(t, peerOf(client), localOf(server), url)
		assert.Equal(t, client.TraceID(), server.TraceID(), url)
		assert.Equal(t, client.SpanID(), server.ParentSpanID(), url)
		for _, one := range []span{client, server} {
			assert.Equal(t, "GET", one.Name())
			assert.Equal(t, int64(200), get(one.Attributes(), "http.response.status_code"), url)
			assert.Equal(t, "complete", text(one.Attributes(), "socketflow.capture"), url)
		}
	}
}

// dialogue is a client and a server of OpenSSL, which send what they are given.
type dialogue struct {
	t              *testing.T
	openssl        string
	client, server *speaker
	address        string   // of the server
	options        []string // of both
}

// newDialogue starts the server.
func newDialogue(t *testing.T, options ...string) *dialogue {
	t.Helper()
	d := &dialogue{t: t, openssl: testenv.NeedProgram(t, "openssl", "openssl"), options: options}
	certificate, key := workload.Certificate()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"certificate": certificate, "key": key} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	d.server = d.speak("s_server", "-accept", "127.0.0.1:0", "-cert", filepath.Join(dir, "certificate"), "-key", filepath.Join(dir, "key"))
	listening := regexp.MustCompile(`ACCEPT (127\.0\.0\.1:\d+)`)
	await(t, "the server listens", func() bool { return listening.Match(d.server.said()) })
	d.address = string(listening.FindSubmatch(d.server.said())[1])
	return d
}

func (d *dialogue) connect() {
	d.t.Helper()
	d.client = d.speak("s_client", "-quiet", "-connect", d.address, "-servername", "workload.test")
}

func (d *dialogue) speak(args ...string) *speaker {
	d.t.Helper()
	return speak(d.t, d.openssl, append(args, d.options...)...)
}

func (d *dialogue) pids() []int { return []int{d.client.cmd.Process.Pid, d.server.cmd.Process.Pid} }

// exchange has the client make a request, and the server respond.
func (d *dialogue) exchange(path string) {
	d.t.Helper()
	d.client.say("GET " + path + " HTTP/1.1\r\nHost: workload.test\r\n\r\n")
	await(d.t, "the server has received "+path, func() bool { return bytes.Contains(d.server.said(), []byte("GET "+path)) })
	d.server.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path))
	await(d.t, "the client has received "+path, func() bool { return bytes.HasSuffix(d.client.said(), []byte(path)) })
}

// speaker is a running program, and what it has printed.
type speaker struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser

	mu  sync.Mutex
	out bytes.Buffer
}

// speak runs a program until the end of the test.
func speak(t *testing.T, program string, args ...string) *speaker {
	t.Helper()
	s := &speaker{t: t, cmd: exec.CommandContext(limited(t), program, args...)}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	var err error
	s.in, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, s.cmd.Process.Kill())
		_ = s.cmd.Wait() // it was killed
	})
	return s
}

// Write takes what the program prints.
func (s *speaker) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *speaker) said() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.out.Bytes())
}

func (s *speaker) say(text string) {
	s.t.Helper()
	_, err := io.WriteString(s.in, text)
	require.NoError(s.t, err)
}
