package procfs

import "net/netip"

// Transport is the transport protocol of a socket.
type Transport uint8

// The transports whose tables are read, numbered as in package event.
const (
	TCP Transport = iota
	UDP
	UnixStream // a stream between two AF_UNIX sockets
	Transports
)

// State is a TCP state, numbered as the kernel does (include/net/tcp_states.h).
type State uint8

// The states that readers of the tables distinguish.
const (
	StateEstablished State = 1
	StateSynSent     State = 2
	StateClose       State = 7
	StateListen      State = 10
)

// Socket is what the tables of a network namespace have of a socket.
type Socket struct {
	Inode     uint64
	NetNS     uint32 // inode of the network namespace
	Transport Transport
	// Local and Remote are the kernel's, with v4-mapped addresses unmapped. If the socket is not connected, Remote is the
	// zero AddrPort and Local may be unspecified. UnixStream: both are zero.
	Local, Remote netip.AddrPort
	// Name of a UnixStream socket is a path, or @ and a name of the abstract namespace; empty if it has none. The tables do
	// not have the name of the other end.
	Name  string
	State State // not TCP: StateEstablished, StateListen or StateClose
	// Listened says that some socket of the network namespace listens at the local address, or at any address of its port. UDP: that an
	// unconnected socket is bound to it. UnixStream: that this socket has a name.
	Listened bool
	// PeerListened says that of the remote address, if it is one of this network namespace.
	PeerListened bool
}

// Listening reports whether the socket accepts connections.
func (s *Socket) Listening() bool { return s.State == StateListen }

// Connected reports whether the socket has another end.
func (s *Socket) Connected() bool {
	return !s.Listening() && (s.Remote.IsValid() || s.Transport == UnixStream && s.State == StateEstablished)
}

// Query is a question about a socket, answered once.
type Query struct {
	done   chan struct{}
	socket Socket
	err    error
}

// NewQuery returns a question without an answer.
func NewQuery() *Query { return &Query{done: make(chan struct{})} }

// Answer answers the question. It must be called exactly once.
func (q *Query) Answer(s Socket, err error) {
	q.socket, q.err = s, err
	close(q.done)
}

// Answered returns whether the question has been answered, and the answer. The error wraps one of this package's, if one fits.
func (q *Query) Answered() (s Socket, answered bool, err error) {
	select {
	case <-q.done:
		return q.socket, true, q.err
	default:
		return Socket{}, false, nil
	}
}

// Done is closed when the question has been answered.
func (q *Query) Done() <-chan struct{} { return q.done }
