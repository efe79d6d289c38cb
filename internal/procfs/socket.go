package procfs

import "net/netip"

// Transport is what a socket speaks over.
type Transport uint8

// The transports whose tables are read, numbered as in package event.
const (
	TCP Transport = iota
	UDP
	UnixStream // a stream between two sockets of the family AF_UNIX
	Transports
)

// State is a TCP state, numbered as the kernel does (include/net/tcp_states.h).
type State uint8

// The states that make a difference to who reads a table.
const (
	StateEstablished State = 1
	StateSynSent     State = 2
	StateClose       State = 7
	StateListen      State = 10
)

// Socket is what the tables of a network namespace say of a socket.
type Socket struct {
	Inode     uint64
	NetNS     uint32 // inode of the network namespace
	Transport Transport
	// Local and Remote are as the kernel has them, v4-mapped addresses unmapped. Remote is the zero AddrPort of a socket
	// that is not connected, Local may be an unspecified address then. UnixStream: both are zero.
	Local, Remote netip.AddrPort
	// Name is the path of UnixStream sockets, or @ and a name of the abstract namespace; empty if this end has none. The
	// tables do not tell the other end's.
	Name  string
	State State // not TCP: StateEstablished, StateListen or StateClose
	// Listened says that a socket of the network namespace listens on the local port, this or another. UDP: that a socket
	// that is not connected has it. UnixStream: that the socket has a name.
	Listened bool
}

// Listening reports whether the socket takes in connections.
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

// NewQuery returns a question that is to be answered by Answer.
func NewQuery() *Query { return &Query{done: make(chan struct{})} }

// Answer answers the question; it is to be called once.
func (q *Query) Answer(s Socket, err error) {
	q.socket, q.err = s, err
	close(q.done)
}

// Answered says whether the question has been answered, and how. The error wraps one of this package's where one fits.
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
