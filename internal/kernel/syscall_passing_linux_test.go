//go:build amd64 || arm64

package kernel

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/testenv"
)

// TestSocketInADatagramIsTheSameOne: Unix sockets for datagrams and packets are not followed, but the descriptors that they carry are.
// Otherwise the connection would end when its sender closes it.
func TestSocketInADatagramIsTheSameOne(t *testing.T) {
	needPrivilege(t)
	for name, kind := range map[string]int{"datagrams": unix.SOCK_DGRAM, "packets": unix.SOCK_SEQPACKET, "a stream": unix.SOCK_STREAM} {
		t.Run(name, func(t *testing.T) {
			testenv.Repeat(t, 4, func(last bool) string {
				received, closed := receivePassed(t, kind)
				if string(received) == passedText && closed {
					return ""
				}
				if last {
					t.Errorf("received %q, closed: %v", received, closed)
				}
				return "another program may have had a message with descriptors under way"
			})
		})
	}
}

const passedText = "what is sent"

// receivePassed returns what is emitted of a server whose descriptor another one replaces.
func receivePassed(t *testing.T, kind int) (received []byte, closed bool) {
	t.Helper()
	tracer, err := OpenSyscalls(Options{
		Shards: 1, RingBytes: 1 << 20, Processes: 1024, Sockets: 1024, Data: true, Unix: true,
		PayloadLimit: testLimit, PayloadBurst: testBurst,
	}, func(event.Event) {})
	must(t, err)
	defer func() { must(t, tracer.Close()) }()
	client, server := connect(t)
	passed := passOver(t, kind, server)
	must(t, unix.Close(server))
	if n, err := unix.Write(client, []byte(passedText)); err != nil || n != len(passedText) {
		t.Fatalf("%d of %d bytes: %v", n, len(passedText), err)
	}
	if n, err := unix.Read(passed, make([]byte, len(passedText))); err != nil || n != len(passedText) {
		t.Fatalf("%d of %d bytes: %v", n, len(passedText), err)
	}
	must(t, unix.Close(passed))
	end := readConnections(t, tracer)[event.RoleServer]
	if end == nil {
		return nil, false
	}
	return end.data[event.Received], end.closed
}

// passOver returns a second descriptor of a socket, which a message has carried.
func passOver(t *testing.T, kind, fd int) int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd), nil, 0))
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	must(t, err)
	messages, err := unix.ParseSocketControlMessage(control[:n])
	must(t, err)
	descriptors, err := unix.ParseUnixRights(&messages[0])
	must(t, err)
	t.Cleanup(func() { unix.Close(descriptors[0]) }) //nolint:errcheck // the test may have closed it
	must(t, unix.Close(pair[0]))
	must(t, unix.Close(pair[1]))
	return descriptors[0]
}
