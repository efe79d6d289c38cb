//go:build amd64 || arm64

package kernel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/tlslib"
)

// TestPlaintextOfLibrary has this program speak TLS with itself: by what its TLS library is given and gives back, and until that is not seen
// any more.
func TestPlaintextOfLibrary(t *testing.T) {
	for name, fault := range map[string]Fault{"as the kernel can": nil, "probe by probe": beforeLinux66} {
		t.Run(name, func(t *testing.T) {
			// Before Linux 6.16 an LRU map gives entries up while it has fewer than 128 for each CPU.
			tracer := openWith(t, Options{TLS: true, Fault: fault, Sockets: 4096})
			seen := layers{t, tracer, map[uint64][2]string{}}
			older := secureConnection(t)
			older.exchange("not seen", "either")
			reading := secureConnection(t)
			reading.exchange("not seen", "either")
			asked, answered := reading.reads(reading.server, len("question")), reading.reads(reading.client, len("answer"))
			library := attachSelf(t, tracer)
			c := secureConnection(t)
			want := plaintexts{}
			for i := range 3 {
				ask, answer := fmt.Sprintf("question %d, ", i), fmt.Sprintf("answer %d, ", i)
				c.exchange(ask, answer)
				want.client[event.Sent] += ask
				want.client[event.Received] += answer
			}
			want.server[event.Sent], want.server[event.Received] = want.client[event.Received], want.client[event.Sent]
			if got := seen.of(c); got != want {
				t.Errorf("plaintext %q, want %q", got, want)
			}
			older.exchange("question", "answer")
			want = plaintexts{
				client: [event.Directions]string{"question", "answer"}, server: [event.Directions]string{"answer", "question"},
			}
			if got := seen.of(older); got != want {
				t.Errorf("plaintext of an older connection %q, want %q", got, want)
			}
			_, err := io.WriteString(reading.client, "question")
			must(t, errors.Join(err, <-asked))
			_, err = io.WriteString(reading.server, "answer")
			must(t, errors.Join(err, <-answered))
			if got := seen.of(reading); got != want && readsOlderCalls {
				t.Errorf("plaintext of a connection whose ends were reading when the programs were attached: %q, want %q", got, want)
			}

			began := time.Now()
			must(t, library.Close())
			t.Logf("attached to %s; detached in %s", tracer.libraryHook, time.Since(began))
			c.exchange("nobody sees", "this")
			if got := seen.of(c); got != (plaintexts{}) {
				t.Errorf("plaintext once the library was detached from: %q", got)
			}
			if got := tracer.probes.Load(); got != 0 {
				t.Errorf("%d probes are left", got)
			}
		})
	}
}

// beforeLinux66 refuses what such a kernel does not have.
func beforeLinux66(_ Stage, program string) error {
	if program == libraryHook {
		return unix.EINVAL
	}
	return nil
}

// TestProbesAreBounded attaches to a library again and again.
func TestProbesAreBounded(t *testing.T) {
	tracer := openWith(t, Options{TLS: true, Fault: beforeLinux66})
	probes := make([]LibraryProbe, maxProbes+1)
	if _, err := tracer.AttachLibrary("/proc/self/exe", probes); err == nil || tracer.probes.Load() != 0 {
		t.Errorf("%d probes were attached: %v; %d are counted", len(probes), err, tracer.probes.Load())
	}
	if _, err := tracer.AttachLibrary("/dev/null", make([]LibraryProbe, 2)); err == nil || tracer.probes.Load() != 0 {
		t.Errorf("attached to no file: %v; %d are counted", err, tracer.probes.Load())
	}
	must(t, attachSelf(t, tracer).Close())
}

// libraryTracer is the tracer of either mode.
type libraryTracer interface {
	Readers() []*Reader
	AttachLibrary(path string, probes []LibraryProbe) (*Library, error)
}

// attachSelf attaches to the TLS library of this program.
func attachSelf(t *testing.T, tracer libraryTracer) *Library {
	t.Helper()
	return attachFile(t, tracer, "/proc/self/exe")
}

func attachFile(t *testing.T, tracer libraryTracer, path string) *Library {
	t.Helper()
	kinds := map[[2]int]LibraryProbeKind{
		{int(tlslib.GoRead), int(tlslib.Enter)}: GoReadEnter, {int(tlslib.GoRead), int(tlslib.Exit)}: GoReadExit,
		{int(tlslib.GoWrite), int(tlslib.Enter)}: GoWriteEnter, {int(tlslib.GoConnWrite), int(tlslib.Enter)}: GoRecord,
	}
	file, err := os.Open(path)
	must(t, err)
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	must(t, err)
	found, err := tlslib.Find(file, info.Size())
	must(t, err)
	var probes []LibraryProbe
	for _, p := range found.Probes {
		kind := kinds[[2]int{int(p.Call), int(p.Place)}]
		if p.GoesOn {
			kind |= GoesOn
		}
		probes = append(probes, LibraryProbe{Offset: p.Offset, Kind: kind, Depth: p.Depth, Result: p.Result, Kept: KeptArguments(p.Kept)})
	}
	library, err := tracer.AttachLibrary(path, probes)
	must(t, err)
	return library
}

// secured is a connection of this program with itself.
type secured struct {
	t              *testing.T
	client, server *tls.Conn
	addresses      [2]string // of the client's socket, and the server's
}

func secureConnection(t *testing.T) *secured {
	t.Helper()
	return secureConnectionOver(t, func(c net.Conn) net.Conn { return c })
}

// secureConnectionOver has both ends read and write through what is made of their sockets.
func secureConnectionOver(t *testing.T, through func(net.Conn) net.Conn) *secured {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close() //nolint:errcheck // there is one connection only
	client, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	server, err := listener.Accept()
	must(t, err)
	return secureEnds(t, through(client), through(server))
}

// secureEnds has the ends of a connection speak TLS.
func secureEnds(t *testing.T, client, server net.Conn) *secured {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"workload.test"}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(client.Close(), server.Close())) })
	return &secured{
		t: t, client: tls.Client(client, &tls.Config{InsecureSkipVerify: true}),
		server: tls.Server(server, &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
			SessionTicketsDisabled: true, // a server would wait for its client to read them, where nothing is buffered between them
		}),
		addresses: [2]string{client.LocalAddr().String(), server.LocalAddr().String()},
	}
}

// exchange has the client ask, and the server answer.
func (s *secured) exchange(ask, answer string) {
	s.t.Helper()
	asked := make(chan error)
	go func() {
		_, err := s.client.Write([]byte(ask))
		asked <- err
	}()
	s.receive(s.server, ask)
	must(s.t, <-asked)
	_, err := s.server.Write([]byte(answer))
	must(s.t, err)
	s.receive(s.client, answer)
}

// readsOlderCalls is whether calls are seen to end whose beginning was not: not on arm64.
const readsOlderCalls = runtime.GOARCH == "amd64"

// reads has one end read so many bytes, and returns once it waits for them.
func (s *secured) reads(at *tls.Conn, n int) <-chan error {
	s.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(at, make([]byte, n))
		done <- err
	}()
	waits := fmt.Sprintf("crypto/tls.(*Conn).Read(%p", at)
	stacks := make([]byte, 1<<20)
	for range 10_000 {
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "[IO wait") && strings.Contains(stack, waits) {
				return done
			}
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatal("it does not read")
	return done
}

func (s *secured) receive(at *tls.Conn, want string) {
	s.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(at, got); err != nil || string(got) != want {
		s.t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// plaintexts are what went over a connection.
type plaintexts struct{ client, server [event.Directions]string }

// layers reads the plaintext of connections.
type layers struct {
	t      *testing.T
	tracer libraryTracer
	flows  map[uint64][2]string // the addresses of sockets, by their cookies
}

// of reads all events, and returns the plaintext of a connection.
func (l *layers) of(c *secured) (all plaintexts) {
	l.t.Helper()
	reader := l.tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return all
		}
		must(l.t, err)
		switch {
		case e.Kind == event.KindOpen:
			l.flows[e.Flow.Cookie] = [2]string{e.Flow.Local.String(), e.Flow.Remote.String()}
		case e.Kind == event.KindData && e.Flow.Cookie&event.LayerTLS != 0:
			ends := l.flows[e.Flow.Cookie&^event.LayerTLS]
			if ends == c.addresses {
				all.client[e.Data.Direction] += string(e.Data.Payload)
			}
			if slices.Reverse(ends[:]); ends == c.addresses {
				all.server[e.Data.Direction] += string(e.Data.Payload)
			}
		}
	}
}

func TestCookiesOfLibraryProbes(t *testing.T) {
	for name, test := range map[string]struct {
		probe LibraryProbe
		want  uint64
	}{
		"depth":        {LibraryProbe{Kind: ReadExit, Depth: 0x238}, 0x0238_0020},
		"own call":     {LibraryProbe{Kind: GnuTLSUncorkExit}, 0x2d},
		"registers":    {LibraryProbe{Kind: GnuTLSPush, Push: PushRegisters{Session: 13, Bytes: 6, Count: 2}}, 0x0000_0000_026d_0090},
		"kept":         {LibraryProbe{Kind: ReadExExit | GoesOn, Depth: 0x38, Kept: KeptArguments{true, 3, 5, 14, 13, 0}}, 0x00de_5300_0038_0c22},
		"kept, a type": {LibraryProbe{Kind: GnuTLSReadExit, Depth: 0x38, Kept: KeptArguments{Known: true, Object: 3, Bytes: 13, Type: 15}}, 0x0f00_d300_0038_0824},
		"displacement": {LibraryProbe{Kind: GnuTLSPushVector, Push: PushRegisters{Session: 3, Bytes: 4, Displacement: -32}}, 0xffe0_0043_0091},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.probe.cookie(); got != test.want {
				t.Errorf("%#x, want %#x", got, test.want)
			}
		})
	}
}
