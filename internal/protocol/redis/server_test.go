package redis

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
	"github.com/socketflow/socketflow/internal/testenv"
)

// server is a real server, and a proxy before it whose connections are parsed.
type server struct {
	t       *testing.T
	socket  string
	address *net.TCPAddr

	mu        sync.Mutex
	recorders []*protocoltest.Recorder
	samples   []protocol.Sample // the first bytes of each connection
	open      sync.WaitGroup
}

func startServer(t *testing.T) *server {
	program := testenv.NeedProgram(t, "redis-server", "redis-server", "valkey-server")
	s := &server{t: t, socket: filepath.Join(t.TempDir(), "s")}
	process := exec.Command(program, "--port", "0", "--unixsocket", s.socket, "--save", "", "--dir", t.TempDir())
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.address = listener.Addr().(*net.TCPAddr)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			go s.serve(c)
		}
	}()
	return s
}

func (s *server) serve(client net.Conn) {
	defer s.open.Done()
	up, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 4096, Outstanding: 1024}, nil)
	s.recorders = append(s.recorders, r)
	s.samples = append(s.samples, protocol.Sample{})
	sample := len(s.samples) - 1
	p := &protocoltest.Player{Parser: parser}
	s.mu.Unlock()
	var both sync.WaitGroup
	forward := func(d protocol.Direction, from, to net.Conn) {
		defer both.Done()
		buffer := make([]byte, 16<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				s.mu.Lock()
				if first := &s.samples[sample]; len(first.Bytes[d]) == 0 {
					first.Bytes[d] = append(first.Bytes[d], buffer[:n]...)
				}
				p.Data(d, string(buffer[:n]))
				s.mu.Unlock()
				_, err = to.Write(buffer[:n])
			}
			if err != nil {
				_ = from.Close()
				_ = to.Close()
				return
			}
		}
	}
	both.Add(2)
	go forward(protocol.FromClient, client, up)
	go forward(protocol.FromServer, up, client)
	both.Wait()
	s.mu.Lock()
	p.Close(0)
	s.mu.Unlock()
}

// run runs a client against the proxy, until its connections have ended.
func (s *server) run(input, program string, args ...string) {
	s.t.Helper()
	path := testenv.NeedProgram(s.t, "redis-tools", program)
	cmd := exec.Command(path, append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(s.address.Port)}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// executed is how often the server has executed each command, by its own statistics.
func (s *server) executed() map[string]int {
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "INFO commandstats\r\nQUIT\r\n")
	all, err := io.ReadAll(c)
	if err != nil {
		s.t.Fatal(err)
	}
	counts := make(map[string]int)
	for line := range strings.SplitSeq(string(all), "\r\n") {
		var calls, usec, rejected, failed int
		name, rest, _ := strings.Cut(line, ":")
		rest = strings.ReplaceAll(rest, "usec_per_call=", "x=")
		if name, ok := strings.CutPrefix(name, "cmdstat_"); ok {
			var per float64
			if _, err := fmt.Sscanf(rest, "calls=%d,usec=%d,x=%f,rejected_calls=%d,failed_calls=%d", &calls, &usec, &per, &rejected, &failed); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			counts[strings.ToUpper(strings.ReplaceAll(name, "|", " "))] = calls + rejected
		}
	}
	return counts
}

// check compares what was parsed with what the server says.
func (s *server) check() (all []protocoltest.Exchange) {
	s.open.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := make(map[string]int)
	for i, r := range s.recorders {
		if r.Errors != [protocol.ParseErrors]int{} || len(r.Open) > 0 || r.Rejected {
			s.t.Errorf("errors %v, %d open", r.Errors, len(r.Open))
		}
		if c := detect(&s.samples[i]); len(s.samples[i].Bytes[0]) > 0 && c != protocol.Certain {
			s.t.Errorf("%q is recognised as %s", s.samples[i].Bytes[0][:20], c)
		}
		for _, x := range r.Exchanges {
			if x.Kind == protocol.Call {
				got[x.Attributes["db.operation.name"].(string)]++
			}
			if x.Capture != protocol.CaptureComplete {
				s.t.Errorf("%s: capture %d", x.Name, x.Capture)
			}
			all = append(all, x)
		}
	}
	want := s.executed()
	for name, n := range want {
		if got[name] != n && n > 0 {
			s.t.Errorf("%s: %d exchanges, the server has executed %d", name, got[name], n)
		}
	}
	return all
}

// talk sends commands on a connection of its own, each after the replies of those before were read up to a text.
func (s *server) talk(steps ...[2]string) {
	s.t.Helper()
	c, err := net.DialTCP("tcp", nil, s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 64<<10)
	for _, step := range steps {
		if _, err := io.WriteString(c, step[0]); err != nil {
			s.t.Fatal(err)
		}
		for read := ""; !strings.HasSuffix(read, step[1]); {
			n, err := c.Read(buffer)
			if read += string(buffer[:n]); err != nil {
				s.t.Fatalf("%q: %v after %q", step[0], err, read)
			}
		}
	}
}
