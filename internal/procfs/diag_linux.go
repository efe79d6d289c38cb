package procfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's own listing of sockets (sock_diag(7)) is binary, and leaves out what has no descriptor any more: the sockets in TIME_WAIT, of
// which a busy host has tens of thousands, and for each of which /proc/net/tcp has a line of text.

// diagTimeout bounds the wait for one message. The kernel writes them while the reader asks, so that it never waits for long.
var diagTimeout = unix.Timeval{Sec: 2}

// Layouts of include/uapi/linux/{inet,unix}_diag.h.
const (
	sizeofInetDiagReq = 56 // struct inet_diag_req_v2
	sizeofInetDiagMsg = 72 // struct inet_diag_msg
	sizeofUnixDiagReq = 24 // struct unix_diag_req
	sizeofUnixDiagMsg = 16 // struct unix_diag_msg
	unixDiagShowName  = 1  // UDIAG_SHOW_NAME
	unixDiagName      = 0  // UNIX_DIAG_NAME
)

// withDescriptors are the states of TCP sockets that a descriptor may lead to and that have two ends, or that listen.
const withDescriptors = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_SYN_SENT | 1<<unix.BPF_TCP_FIN_WAIT1 | 1<<unix.BPF_TCP_FIN_WAIT2 |
	1<<unix.BPF_TCP_CLOSE_WAIT | 1<<unix.BPF_TCP_LAST_ACK | 1<<unix.BPF_TCP_LISTEN | 1<<unix.BPF_TCP_CLOSING

const allStates = 1<<32 - 1

// diagDump asks for the sockets of one kind.
type diagDump struct {
	family    uint8
	protocol  uint8 // 0: AF_UNIX
	states    uint32
	transport Transport
	optional  bool // the kernel may lack the family
}

var diagDumps = [...]diagDump{
	{unix.AF_INET, unix.IPPROTO_TCP, withDescriptors, TCP, false},
	{unix.AF_INET6, unix.IPPROTO_TCP, withDescriptors, TCP, true},
	{unix.AF_INET, unix.IPPROTO_UDP, allStates, UDP, false},
	{unix.AF_INET6, unix.IPPROTO_UDP, allStates, UDP, true},
	{unix.AF_UNIX, 0, allStates, UnixStream, false},
}

func (d *diagDump) request() []byte {
	size := sizeofInetDiagReq
	if d.family == unix.AF_UNIX {
		size = sizeofUnixDiagReq
	}
	b := make([]byte, unix.SizeofNlMsghdr+size)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := b[unix.SizeofNlMsghdr:]
	body[0], body[1] = d.family, d.protocol
	binary.NativeEndian.PutUint32(body[4:], d.states)
	if d.family == unix.AF_UNIX {
		binary.NativeEndian.PutUint32(body[12:], unixDiagShowName)
	}
	return b
}

// diag reads all sockets from a socket of NETLINK_SOCK_DIAG. It lists those of the network namespace in which that was made.
func (g *reading) diag(netlink int) error {
	if err := unix.SetsockoptTimeval(netlink, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &diagTimeout); err != nil {
		return fmt.Errorf("bound the wait for sock_diag: %w", err)
	}
	// The kernel writes at most 32 KiB at a time (netlink_dump in net/netlink/af_netlink.c).
	buf := make([]byte, 1<<16)
	for i := range diagDumps {
		d := &diagDumps[i]
		err := g.dump(netlink, d, buf)
		if d.optional && errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("ask sock_diag for family %d, protocol %d: %w", d.family, d.protocol, err)
		}
	}
	g.seeListeners()
	return nil
}

var (
	errDiagMalformed   = errors.New("the answer of sock_diag is malformed")
	errDiagInterrupted = errors.New("the kernel's list of sockets changed while it was read")
)

func (g *reading) dump(netlink int, d *diagDump, buf []byte) error {
	if err := unix.Sendto(netlink, d.request(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for {
		n, _, flags, from, err := unix.Recvmsg(netlink, buf, nil, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvmsg", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // not the kernel's
		}
		if flags&unix.MSG_TRUNC != 0 {
			return errDiagMalformed
		}
		done, err := g.messages(d, buf[:n])
		if done || err != nil {
			return err
		}
	}
}

// messages takes in what one read has returned. done: it was the end of the answer.
func (g *reading) messages(d *diagDump, b []byte) (done bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return false, errDiagMalformed
		}
		length := binary.NativeEndian.Uint32(b)
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		if length < unix.SizeofNlMsghdr || uint64(length) > uint64(len(b)) {
			return false, errDiagMalformed
		}
		body := b[unix.SizeofNlMsghdr:length]
		b = b[min(uint64(len(b)), (uint64(length)+3)&^3):]
		switch {
		case flags&unix.NLM_F_DUMP_INTR != 0:
			return false, errDiagInterrupted
		case kind == unix.NLMSG_DONE:
			return true, diagErrno(body, false)
		case kind == unix.NLMSG_ERROR:
			return true, diagErrno(body, true)
		case kind != unix.SOCK_DIAG_BY_FAMILY:
			return false, errDiagMalformed
		case d.family == unix.AF_UNIX:
			err = g.unixDiag(body)
		default:
			err = g.inetDiag(body, d.transport)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// diagErrno is the error number that ends an answer: negative, or 0.
func diagErrno(body []byte, mandatory bool) error {
	if len(body) < 4 {
		if mandatory {
			return errDiagMalformed
		}
		return nil
	}
	if errno := -int32(binary.NativeEndian.Uint32(body)); errno > 0 {
		return unix.Errno(errno)
	}
	return nil
}

// inetDiag takes in a struct inet_diag_msg: family, state, timer, retransmits; then struct inet_diag_sockid: ports, addresses, interface, cookie;
// then expires, rqueue, wqueue, uid, inode.
func (g *reading) inetDiag(b []byte, transport Transport) error {
	if len(b) < sizeofInetDiagMsg {
		return errDiagMalformed
	}
	state := State(b[1])
	inode := uint64(binary.NativeEndian.Uint32(b[68:]))
	local := diagEndpoint(b[0], b[8:24], b[4:6])
	if state == StateListen || transport == UDP && state == StateClose {
		g.listen[listenerKey{transport, local}] = struct{}{}
	}
	if inode == 0 || !g.wanted(inode) {
		return nil
	}
	remote := diagEndpoint(b[0], b[24:40], b[6:8])
	if remote.Port() == 0 && remote.Addr().IsUnspecified() {
		remote = netip.AddrPort{}
	}
	g.found[inode] = Socket{Inode: inode, NetNS: g.netns, Transport: transport, Local: local, Remote: remote, State: state}
	return nil
}

func diagEndpoint(family uint8, address, port []byte) netip.AddrPort {
	addr := netip.AddrFrom4([4]byte(address))
	if family == unix.AF_INET6 {
		addr = netip.AddrFrom16([16]byte(address)).Unmap()
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port))
}

// unixDiag takes in a struct unix_diag_msg: family, type, state, padding, inode, cookie; then attributes.
func (g *reading) unixDiag(b []byte) error {
	if len(b) < sizeofUnixDiagMsg {
		return errDiagMalformed
	}
	inode := uint64(binary.NativeEndian.Uint32(b[4:]))
	if b[1] != unix.SOCK_STREAM || inode == 0 || !g.wanted(inode) {
		return nil
	}
	s := Socket{Inode: inode, NetNS: g.netns, Transport: UnixStream, State: StateClose}
	switch State(b[2]) {
	case StateListen:
		s.State = StateListen
	case StateEstablished:
		s.State = StateEstablished
	}
	for b = b[sizeofUnixDiagMsg:]; len(b) >= unix.SizeofRtAttr; {
		length, kind := binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])
		if length < unix.SizeofRtAttr || int(length) > len(b) {
			return errDiagMalformed
		}
		if kind == unixDiagName {
			s.Name, s.Listened = diagName(b[unix.SizeofRtAttr:length]), length > unix.SizeofRtAttr
		}
		b = b[min(len(b), (int(length)+3)&^3):]
	}
	g.found[inode] = s
	return nil
}

// diagName writes a name as /proc/net/unix does: that of the abstract namespace begins with @, and has one for each zero byte.
func diagName(b []byte) string {
	name := string(b)
	if strings.HasPrefix(name, "\x00") {
		name = strings.ReplaceAll(name, "\x00", "@")
	}
	return strings.ToValidUTF8(strings.TrimSuffix(name, "\x00"), "\uFFFD")
}

// openDiag makes a socket of NETLINK_SOCK_DIAG in the network namespace of this thread.
func openDiag() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	return fd, os.NewSyscallError("socket", err)
}

// listsByDiag reports whether sock_diag is worth asking. It knows nothing of another procfs than this host's.
func (r *Resolver) listsByDiag() bool { return r.root == mountPoint && !r.noDiag.Load() }

// noticeDiag reports whether an answer of sock_diag is whole. If the kernel has refused it, it is not asked again: it would look for a module
// of its own each time.
func (r *Resolver) noticeDiag(err error) bool {
	if _, refused := errors.AsType[*diagRefusal](err); refused {
		r.noDiag.Store(true)
	}
	return err == nil
}

// diagRefusal is an error of sock_diag itself that would be the same the next time.
type diagRefusal struct{ error }

func (e *diagRefusal) Unwrap() error { return e.error }

// diag lists the sockets of the network namespace of a process, which is that of the reading.
func (r *Resolver) diag(g *reading, pid uint32) (err error) {
	netlink := -1
	open := func() error {
		netlink, err = openDiag()
		err = refused(err)
		return err
	}
	if g.netns == r.own {
		err = open()
	} else {
		err = inNetNS(r.path(pid, "ns/net"), g.netns, open)
	}
	if err != nil {
		return err
	}
	defer unix.Close(netlink) //nolint:errcheck // nothing was written
	return refused(g.diag(netlink))
}

// passing are errors of sock_diag that may be others the next time.
var passing = [...]error{errDiagInterrupted, unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EMFILE, unix.ENFILE}

// refused returns an error as a diagRefusal, if it is one.
func refused(err error) error {
	if err == nil || slices.ContainsFunc(passing[:], func(p error) bool { return errors.Is(err, p) }) {
		return err
	}
	return &diagRefusal{err}
}

// ListsSockets returns why sock_diag does not list the sockets of this network namespace, so that the tables of /proc are read; nil: it does.
func ListsSockets() error {
	netlink, err := openDiag()
	if err != nil {
		return err
	}
	defer unix.Close(netlink) //nolint:errcheck // nothing was written
	return newReading(0, func(uint64) bool { return false }).diag(netlink)
}
