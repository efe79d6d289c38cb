//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// namesClient is the environment variable that makes this executable a client: addresses of the DNS and of the Redis server.
const namesClient = "SOCKETFLOW_TEST_NAMES_CLIENT"

func init() {
	if servers := os.Getenv(namesClient); servers != "" {
		if err := runNamesClient(strings.Fields(servers)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// hosts is how many names there are. That of 127.0.1.n is hn.test.
const hosts = 40

func hostAddress(n int) string { return fmt.Sprint("127.0.1.", n) }

// runNamesClient does what it reads: "ask n" looks up a name, "ping n" connects to its address and sends a command, "open n" does so and
// keeps the connection, and "again" sends a command on that one. It writes a line when it is done.
func runNamesClient(servers []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, servers[0])
	}}
	_, port, err := net.SplitHostPort(servers[1])
	if err != nil {
		return err
	}
	var open net.Conn
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println() {
		what, number, _ := strings.Cut(lines.Text(), " ")
		address := net.JoinHostPort("127.0.1."+number, port)
		switch what {
		case "ask":
			_, err = resolver.LookupNetIP(ctx, "ip", "h"+number+".test.")
		case "again":
			err = ping(open)
		default:
			var c net.Conn
			if c, err = net.Dial("tcp", address); err == nil {
				err = ping(c)
				if what == "open" {
					open = c
				} else {
					_ = c.Close()
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func ping(c net.Conn) error {
	if _, err := io.WriteString(c, "*1\r\n$4\r\nPING\r\n"); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len("+PONG\r\n")))
	return err
}

// serveNames answers questions for addresses of version 4, until the end of the test.
func serveNames(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, socket.Close()) })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				number, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(q.Name.String(), "h"), ".test."))
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(hostAddress(number)).As4()},
				}}
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = socket.WriteTo(packed, from)
			}
		}
	}()
	return socket.LocalAddr().String()
}

// serveRedis answers every command with PONG, until the end of the test.
func serveRedis(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buffer := make([]byte, 100)
				for {
					if _, err := c.Read(buffer); err != nil {
						return
					}
					_, _ = io.WriteString(c, "+PONG\r\n")
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// namesProcess is a process that runs runNamesClient.
type namesProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startNamesProcess(t *testing.T, servers string) *namesProcess {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &namesProcess{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), namesClient+"="+servers)
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(out)
	require.NoError(t, p.cmd.Start())
	return p
}

func (p *namesProcess) do(t *testing.T, what string, number int) {
	t.Helper()
	_, err := fmt.Fprintln(p.in, what, number)
	require.NoError(t, err)
	_, err = p.out.ReadString('\n')
	require.NoError(t, err, "%s %d", what, number)
}

func (p *namesProcess) end(t *testing.T) {
	t.Helper()
	require.NoError(t, p.in.Close())
	require.NoError(t, p.cmd.Wait())
}

// namesSeen has the logical peers of clients' telemetry: by process and address, how many items had which.
type namesSeen struct {
	mu    sync.Mutex
	port  string // of the Redis server
	peers map[string]int
}

func (s *namesSeen) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				s.add("record", resource.Resource().Attributes(), record.Attributes())
			}
		}
	}
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if span.Kind() == ptrace.SpanKindClient {
					s.add(span.Name(), resource.Resource().Attributes(), span.Attributes())
				}
			}
		}
	}
}

func (s *namesSeen) add(what string, resource, attributes pcommon.Map) {
	address := text(attributes, "network.peer.address")
	if !strings.HasPrefix(address, "127.0.1.") || text(attributes, "network.peer.port") != s.port {
		return
	}
	s.peers[fmt.Sprintf("%s of %s to %s: %s %s %s", what, text(resource, "process.pid"), address, text(attributes, "server.address"),
		text(attributes, "net.peer.name"), text(attributes, "socketflow.server.address.source"))]++
}

// TestPeersAreNamedByWhatTheirClientAskedFor has a process look up names and connect to their addresses. Its commands and connections have
// these names, whichever shards see the look-up and the connection; those of a process that has not asked have addresses, as have
// connections that are older than the look-up.
func TestPeersAreNamedByWhatTheirClientAskedFor(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		for _, shards := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, %d shards", mode, shards), func(t *testing.T) { testPeerNames(t, mode, shards) })
		}
	}
}

func testPeerNames(t *testing.T, mode kernel.Mode, shards int) {
	redis := serveRedis(t)
	_, port, err := net.SplitHostPort(redis)
	require.NoError(t, err)
	seen := &namesSeen{port: port, peers: map[string]int{}}
	options := optionsOf(t, mode, seen)
	options.Rules, options.Unix = nil, false // other processes
	options.Shards, options.RingBytes, options.ParserMemory = shards, 8<<20, 16<<20
	options.Sockets, options.Processes, options.UDPIdleTimeout = 65536, 4096, time.Minute
	options.PollInterval, options.BatchTimeout = 100*time.Millisecond, 2*time.Second // a batch waits longer than any shard is behind
	options.Telemetry.Bounds = otlp.Bounds{Items: 1000}
	e := engine.New(options)
	require.NoError(t, e.Start())

	servers := serveNames(t) + " " + redis
	asker, other := startNamesProcess(t, servers), startNamesProcess(t, servers)
	asker.do(t, "open", 1)
	for n := 1; n <= hosts; n++ {
		asker.do(t, "ask", n)
		asker.do(t, "ping", n)
		other.do(t, "ping", n)
	}
	asker.do(t, "again", 1)
	asker.end(t)
	other.end(t)

	want := map[string]int{}
	expect := func(p *namesProcess, commands int, address, name, source string) {
		of := fmt.Sprintf(" of %d to %s: %s %s %s", p.cmd.Process.Pid, address, name, name, source)
		want["PING"+of], want["record"+of] = commands, 2
	}
	for n := 1; n <= hosts; n++ {
		expect(asker, 1, hostAddress(n), fmt.Sprintf("h%d.test", n), "dns")
		expect(other, 1, hostAddress(n), hostAddress(n), "")
	}
	expect(asker, 2, hostAddress(1), hostAddress(1), "")
	complete := func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		n := 0
		for _, items := range seen.peers {
			n += items
		}
		return n >= 3*2*hosts+4
	}
	for deadline := time.Now().Add(20 * time.Second); !complete() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	remembered := e.Snapshot().PeerNames.Remembered
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	whole, err := e.Drain(ctx)
	assert.True(t, whole)
	assert.NoError(t, err)
	assert.NoError(t, e.Close())
	assert.Equal(t, want, seen.peers)
	assert.GreaterOrEqual(t, remembered, hosts)
}
