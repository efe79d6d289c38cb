package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	dir     string
	address *net.TCPAddr

	mu        sync.Mutex
	recorders []*protocoltest.Recorder
	samples   []protocol.Sample // the first bytes of each connection
	open      sync.WaitGroup
}

func (s *server) socket() string { return filepath.Join(s.dir, "s") }
func (s *server) log() string    { return filepath.Join(s.dir, "general.log") }

func startServer(t *testing.T, options ...string) *server {
	program := testenv.NeedProgram(t, "mariadb-server", "mariadbd", "/usr/sbin/mariadbd")
	install := testenv.NeedProgram(t, "mariadb-server", "mariadb-install-db")
	dir, err := os.MkdirTemp("", "mysql") // the path of a Unix socket is short
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	out, err := exec.Command(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	process := exec.Command(program, append([]string{"--no-defaults", "--user=root", "--datadir=" + data, "--socket=" + s.socket(), "--skip-networking",
		"--pid-file=" + filepath.Join(dir, "pid"), "--local-infile=1", "--innodb-flush-log-at-trx-commit=0"}, options...)...)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("unix", s.socket())
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	s.direct("SET GLOBAL general_log_file='" + s.log() + "'; SET GLOBAL general_log=1; CREATE DATABASE shop;")
	s.listen()
	return s
}

// direct runs statements without the proxy.
func (s *server) direct(sql string) string {
	s.t.Helper()
	cmd := exec.Command(testenv.NeedProgram(s.t, "mariadb-client", "mariadb"), "--no-defaults", "--socket="+s.socket(), "-u", "root", "--batch", "-e", sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func (s *server) listen() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = listener.Close() })
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
}

func (s *server) serve(client net.Conn) {
	defer s.open.Done()
	up, err := net.Dial("unix", s.socket())
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 8192, Outstanding: 1024}, nil)
	s.recorders = append(s.recorders, r)
	s.samples = append(s.samples, protocol.Sample{First: protocol.FromServer})
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
func (s *server) run(input, program string, arguments ...string) string {
	s.t.Helper()
	path := testenv.NeedProgram(s.t, "mariadb-client", program)
	cmd := exec.Command(path, append([]string{"--no-defaults", "-h", "127.0.0.1", "-P", fmt.Sprint(s.address.Port), "--protocol=tcp", "-u", "root"}, arguments...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	s.open.Wait()
	return string(out)
}

// logged are the names of the server's log for the commands of the protocol.
var logged = map[string]string{
	"Query": "COM_QUERY", "Prepare": "COM_STMT_PREPARE", "Execute": "COM_STMT_EXECUTE", "Close stmt": "COM_STMT_CLOSE", "Reset stmt": "COM_STMT_RESET",
	"Init DB": "COM_INIT_DB", "Quit": "COM_QUIT", "Ping": "COM_PING", "Statistics": "COM_STATISTICS", "Field List": "COM_FIELD_LIST", "Change user": "COM_CHANGE_USER",
	"Long Data": "COM_STMT_SEND_LONG_DATA", "Reset connection": "COM_RESET_CONNECTION",
}

// A line may begin with a time, and has the number of its connection.
var logLine = regexp.MustCompile(`(?m)^(?:\d{6}\s+\d+:\d+:\d+)?\s+(\d+) (Query|Prepare|Execute|Close stmt|Reset stmt|Init DB|Quit|Ping|Statistics|Field List|Change user|Long Data|Reset connection)\b`)

// executed is how often the server has executed each command, by its own log, since the log began.
func (s *server) executed() map[string]int {
	b, err := os.ReadFile(s.log())
	if err != nil {
		s.t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, match := range logLine.FindAllStringSubmatch(string(b), -1) {
		counts[logged[match[2]]]++
	}
	return counts
}

// settled is executed once all clients that have come are logged to have gone, but for the one that began the log.
func (s *server) settled() map[string]int {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(s.log())
		if err != nil {
			s.t.Fatal(err)
		}
		if bytes.Count(b, []byte(" Quit\t")) == bytes.Count(b, []byte(" Connect\t"))+1 {
			return s.executed()
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the server's log: %s", b)
		}
	}
}

// check compares what was parsed with what the server says, and returns the exchanges.
func (s *server) check(apart map[string]int) (all []protocoltest.Exchange) {
	s.t.Helper()
	s.open.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := make(map[string]int)
	for i, r := range s.recorders {
		if r.Errors != [protocol.ParseErrors]int{} || len(r.Open) > 0 || r.Rejected {
			s.t.Errorf("errors %v, %d open", r.Errors, len(r.Open))
		}
		if c := detect(&s.samples[i]); c != protocol.Certain {
			s.t.Errorf("%q is recognised as %s", s.samples[i].Bytes[1], c)
		}
		for _, x := range r.Exchanges {
			op := x.Attributes["db.operation.name"].(string)
			if !strings.HasPrefix(op, "COM_") && op != "_OTHER" {
				op = "COM_QUERY"
			}
			got[op]++
			if x.Capture != protocol.CaptureComplete {
				s.t.Errorf("%s: capture %d", brief(&x), x.Capture)
			}
			all = append(all, x)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // that a client has left is logged later
		want := s.executed()
		for name, n := range apart {
			want[name] -= n
		}
		// What is executed has the operation of its statement.
		want["COM_QUERY"] += want["COM_STMT_EXECUTE"]
		delete(want, "COM_STMT_EXECUTE")
		var wrong []string
		for name, n := range want {
			if got[name] != n {
				wrong = append(wrong, fmt.Sprintf("%s: %d exchanges, the server has executed %d", name, got[name], n))
			}
		}
		if len(wrong) == 0 {
			return all
		}
		if time.Now().After(deadline) {
			s.t.Errorf("%q", wrong)
			return all
		}
	}
}

// untilEnd as the end of a reply is the end of the connection.
const untilEnd = "until the end"

// talk sends packets on a connection of its own, each after the reply to the one before has ended with bytes.
func (s *server) talk(steps ...[2]string) {
	s.t.Helper()
	c, err := net.DialTCP("tcp", nil, s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	buffer := make([]byte, 64<<10)
	for _, step := range steps {
		if _, err := io.WriteString(c, step[0]); err != nil {
			s.t.Fatal(err)
		}
		for read := ""; !strings.HasSuffix(read, step[1]); {
			n, err := c.Read(buffer)
			if read += string(buffer[:n]); err != nil {
				if step[1] == untilEnd && errors.Is(err, io.EOF) {
					break
				}
				s.t.Fatalf("%q: %v after %q", step[0], err, read[max(0, len(read)-100):])
			}
		}
	}
	_ = c.Close()
	s.open.Wait()
}
