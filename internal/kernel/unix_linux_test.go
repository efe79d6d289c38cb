//go:build amd64 || arm64

package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// socketsOf is a connection within this process: made before or after the programs are attached.
type socketsOf func(t *testing.T, path string) (client, server int)

func connectUnix(t *testing.T, path string) (client, server int) {
	t.Helper()
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(listener) //nolint:errcheck // nothing was written
	must(t, unix.Bind(listener, &unix.SockaddrUnix{Name: path}))
	must(t, unix.Listen(listener, 1))
	client, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Connect(client, &unix.SockaddrUnix{Name: path}))
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	must(t, err)
	return client, server
}

func socketpair(t *testing.T, _ string) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return fds[0], fds[1]
}

func TestUnixSockets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "socket")
	cases := map[string]struct {
		path           string
		connect        socketsOf
		client, server event.Unix
		roles          [2]event.Role
	}{
		"with a path": {
			file, connectUnix, event.Unix{Remote: file}, event.Unix{Local: file},
			[2]event.Role{event.RoleClient, event.RoleServer},
		},
		"with a name of the abstract namespace": {
			"@socketflow-test", connectUnix, event.Unix{Remote: "@socketflow-test"}, event.Unix{Local: "@socketflow-test"},
			[2]event.Role{event.RoleClient, event.RoleServer},
		},
		"without names": {"", socketpair, event.Unix{}, event.Unix{}, [2]event.Role{}},
	}
	eachAttachment(t, func(t *testing.T, tracer *SocketTracer) {
		(&wire{t: t, tracer: tracer}).findExisting() // from now on, what is not older is known to be so
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				w := &wire{t: t, tracer: tracer}
				w.client, w.server = test.connect(t, test.path)
				w.identify()
				w.send([]byte("request"))
				w.receive(7)
				n, err := unix.Write(w.server, []byte("response"))
				w.did(n, 8, err)
				n, err = unix.Read(w.client, make([]byte, 100))
				w.did(n, 8, err)
				must(t, unix.Close(w.client))
				n, err = unix.Read(w.server, make([]byte, 100))
				w.did(n, 0, err)
				must(t, unix.Close(w.server))
				must(t, os.RemoveAll(file))
				w.listen()

				for end, names := range []event.Unix{test.client, test.server} {
					names.PeerPID = uint32(os.Getpid())
					names.Peer = w.opened[1-end].Flow.Cookie
					got := w.opened[end]
					if got.Flow.Unix == nil || *got.Flow.Unix != names || got.Flow.Role != test.roles[end] || got.Existing {
						t.Errorf("end %d was opened as %+v with %+v, want %+v", end, got.Flow, got.Flow.Unix, names)
					}
				}
				w.expect(atClient, event.Sent, whole("request"))
				w.expect(atServer, event.Received, whole("request"))
				w.expect(atServer, event.Sent, whole("response"))
				w.expect(atClient, event.Received, whole("response"))
				if w.closed != [2]event.Kind{event.KindPeerClose, event.KindClose} {
					t.Errorf("closed by %v", w.closed)
				}
				for end, want := range [2][event.Directions]uint64{{7, 8}, {8, 7}} {
					if w.ended[end].Position != want {
						t.Errorf("end %d ended at %v, want %v", end, w.ended[end].Position, want)
					}
				}
			})
		}
	})
}

func TestOlderUnixSocketsAreKnown(t *testing.T) {
	needPrivilege(t)
	client, server := socketpair(t, "")
	w := &wire{t: t, tracer: openForTest(t), client: client, server: server}
	w.findExisting()
	w.send([]byte("late"))
	w.receive(4)
	w.identify() // gives the sockets cookies, unless the programs did
	w.listen()
	for end, o := range w.opened {
		if !o.Existing || o.Flow.Unix.Peer != 0 {
			t.Errorf("end %d: %+v with %+v is not said to be older", end, o, o.Flow.Unix)
		}
	}
	must(t, errors.Join(unix.Close(client), unix.Close(server)))
}

// Before older sockets have been looked for, the first bytes that are seen of a socket need not be its first.
func TestOtherEndOfAUnixSocketThatMayBeOlderIsNotNamed(t *testing.T) {
	needPrivilege(t)
	client, server := socketpair(t, "")
	w := &wire{t: t, tracer: openForTest(t), client: client, server: server}
	w.send([]byte("early"))
	w.receive(5)
	w.findExisting()
	w.identify()
	w.listen()
	for end, o := range w.opened {
		if o.Kind != event.KindOpen || o.Flow.Unix.Peer != 0 {
			t.Errorf("end %d: opened as %+v with %+v", end, o, o.Flow.Unix)
		}
	}
	must(t, errors.Join(unix.Close(client), unix.Close(server)))
}
