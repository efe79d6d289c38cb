//go:build amd64 || arm64

package workload

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkRequests is how many requests a forked child serves.
const forkRequests = 4

// forkServes is PostgreSQL's model: a process accepts, forks and closes its copy; the child, which never accepts, serves.
//
// Steps, of client and server: "fork serves", three times.
func forkServes(n *notes, _ []string) {
	l := listen(anyV4)
	for range 3 {
		c, s := parties("fork serves", connectTo(l.addr), acceptAddress(l.fd))
		locate(c, s)
		mustBe(s.flow.Local, localAddr(s.fd))
		mustBe(c.flow.Local, localAddr(c.fd))
		child := serveInChild(c, s, -1, l.fd)
		s.close() // the child's descriptor stays open
		askChild(c, s)
		awaitChild(child)
		s.flow.ServedBy = child
		n.flows(c, s)
	}
}

// forkAccepts is the model of servers that fork before they accept: the child accepts, from a listener of its parent.
//
// Steps, of client and server: "fork accepts".
func forkAccepts(n *notes, _ []string) {
	l := listen(anyV4)
	c, s := parties("fork accepts", -1, -1)
	child := serveInChild(c, s, l.fd, -1)
	c.fd = connectTo(l.addr)
	c.flow.Local, c.flow.Remote = localAddr(c.fd), l.addr
	s.flow.Local, s.flow.Remote = l.addr, c.flow.Local
	askChild(c, s)
	awaitChild(child)
	s.flow.PID = child
	s.flow.LocalUnknown, s.flow.RemoteUnknown = true, true // only the listener and the client show them
	n.flows(c, s)
}

// serveInChild forks a child that serves all requests.
func serveInChild(c, s *party, accepts, closes int) int {
	path := c.nextPath() // the paths have the same length
	buffer := request(path)
	answer := response(path)
	pid, err := forkAndServe(&childPlan{
		fd: s.fd, accepts: accepts, closes: closes, requests: forkRequests,
		request: unsafe.Pointer(unsafe.SliceData(buffer)), requestSize: uintptr(len(buffer)),
		answer: unsafe.Pointer(unsafe.SliceData(answer)), answerSize: uintptr(len(answer)),
	})
	if err != 0 {
		check(err)
	}
	return int(pid)
}

// askChild makes the requests, and waits for the end.
func askChild(c, s *party) {
	for range forkRequests {
		path := c.nextPath()
		c.send(request(path))
		c.receive(len(response(path)))
		s.flow.Received += uint64(len(request(path)))
		s.flow.Sent += uint64(len(response(path)))
		c.asked(path)
		s.asked(path)
	}
	c.awaitEnd()
	c.close()
}

func awaitChild(pid int) {
	var status unix.WaitStatus
	check(retry(func() error {
		_, err := unix.Wait4(pid, &status, 0, nil)
		return err
	}))
	if !status.Exited() || status.ExitStatus() != 0 {
		check(fmt.Errorf("the child has ended with %v", status))
	}
}

// childPlan is what a forked child does. The child cannot allocate memory, because its runtime does not work.
type childPlan struct {
	fd, accepts, closes     int // accepts or closes: -1 for nothing
	requests                int
	request, answer         unsafe.Pointer
	requestSize, answerSize uintptr
}

// forkAndServe forks without exec. The child has only this one of all threads, and may do nothing but system calls.
//
//go:norace
//go:nosplit
func forkAndServe(p *childPlan) (uintptr, unix.Errno) {
	pid, _, err := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if err != 0 || pid != 0 {
		return pid, err
	}
	var failed unix.Errno
	if p.closes >= 0 {
		_, _, failed = unix.RawSyscall(unix.SYS_CLOSE, uintptr(p.closes), 0, 0)
	}
	fd := uintptr(p.fd)
	if p.accepts >= 0 {
		fd, _, failed = unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(p.accepts), 0, 0, 0, 0, 0)
	}
	for i := 0; i < p.requests; i++ {
		got, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(p.request), p.requestSize)
		failed |= err
		sent, _, err := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(p.answer), p.answerSize)
		failed |= err
		if got != p.requestSize || sent != p.answerSize {
			failed |= 1
		}
	}
	_, _, err = unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	failed |= err
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(failed), 0, 0)
	}
}

// duplicates uses connections through duplicates of their descriptors, made in each way, before and after the first one is closed.
//
// Steps, of client and server: "dup", "dup2", "dup3", "F_DUPFD", "F_DUPFD_CLOEXEC".
func duplicates(n *notes, _ []string) {
	const free = 700 // no other descriptor has this number
	for _, d := range [...]struct {
		step string
		dup  func(fd int) (int, error)
	}{
		{"dup", unix.Dup},
		{"dup2", func(fd int) (int, error) { return free, dup2(fd, free) }},
		{"dup3", func(fd int) (int, error) { return free, unix.Dup3(fd, free, unix.O_CLOEXEC) }},
		{"F_DUPFD", func(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD, free) }},
		{"F_DUPFD_CLOEXEC", func(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, free) }},
	} {
		c, s := pairOver(d.step, anyV4)
		makeRequests(c, s, 1)
		for _, p := range [...]*party{c, s} {
			number, err := d.dup(p.fd)
			check(err)
			original := p.fd
			p.fd = number
			makeRequests(c, s, 1)
			check(unix.Close(original))
			makeRequests(c, s, 1)
			if number == free { // make room for the other end
				moved, err := unix.Dup(number)
				check(err)
				check(unix.Close(number))
				p.fd = moved
				makeRequests(c, s, 1)
			}
		}
		part(c, s)
		n.flows(c, s)
	}
}

// dup2 is dup3 where the kernel has no dup2 (arm64).
func dup2(fd, onto int) error { return unix.Dup3(fd, onto, 0) }

// dup2OverLive has a connection's descriptor replaced by another connection's, which ends the former.
//
// Steps, of client and server: "over", "under" (the one that is replaced).
func dup2OverLive(n *notes, _ []string) {
	over, overServer := pairOver("over", anyV4)
	under, underServer := pairOver("under", anyV4)
	makeRequests(over, overServer, 1)
	makeRequests(under, underServer, 1)
	check(unix.Dup3(over.fd, under.fd, unix.O_CLOEXEC)) // this closes under
	underServer.awaitEnd()
	underServer.close()
	original := over.fd
	over.fd = under.fd
	makeRequests(over, overServer, 1)
	check(unix.Close(original))
	makeRequests(over, overServer, 1)
	part(over, overServer)
	n.flows(over, overServer, under, underServer)
}

// closeRange closes connections by close_range, twice the same numbers.
//
// Steps, of client and server: "range".
func closeRange(n *notes, _ []string) {
	const first, count = 600, 3
	for range 2 {
		var ends [2 * count]*party
		for i := range count {
			c, s := pairOver("range", anyV4)
			makeRequests(c, s, 1)
			check(unix.Dup3(c.fd, first+i, unix.O_CLOEXEC))
			c.close()
			c.fd = first + i
			makeRequests(c, s, 1)
			ends[2*i], ends[2*i+1] = c, s
		}
		check(unix.CloseRange(first, first+count-1, 0))
		for i := range count {
			ends[2*i+1].awaitEnd()
			ends[2*i+1].close()
		}
		n.flows(ends[:]...)
	}
}

// The numbers of descriptors around an exec.
const (
	keptAt = 500 // stays open
	goneAt = 501 // FD_CLOEXEC
)

// execKeeps has two connections served by a program that then executes itself: exec closes one, the program goes on to serve the
// other. The clients are in another process: this one.
//
// Steps, of client and server: "kept", "closed".
func execKeeps(n *notes, _ []string) {
	run := n.start("scenario", "serve-kept")
	address, err := run.AwaitAny()
	check(err)
	l := netip.MustParseAddrPort(address)
	clients := map[string]*party{}
	for _, step := range [...]string{"kept", "closed"} {
		c := newParty(step+": client", Client, connectTo(l))
		c.flow.Local, c.flow.Remote = localAddr(c.fd), l
		clients[step] = c
	}
	kept, gone := clients["kept"], clients["closed"]
	check(run.Continue())
	for _, c := range [...]*party{kept, gone} {
		ask(c)
	}
	gone.awaitEnd()
	gone.close()
	ask(kept)
	ask(kept)
	kept.awaitEnd()
	kept.close()
	n.flows(kept, gone)
	n.takeFlows(run)
}

// ask makes a request of another process.
func ask(c *party) {
	path := c.nextPath()
	c.send(request(path))
	c.receive(len(response(path)))
	c.asked(path)
}

// serve answers a request of another process.
func serve(s *party) {
	path := s.nextPath()
	s.receive(len(request(path)))
	s.send(response(path))
	s.asked(path)
}

// serveKept accepts two connections, serves one request of each, executes itself, and serves the rest.
//
//	0, 1 the bytes that the first of them had sent and received, if this is after the exec
func serveKept(n *notes, args []string) {
	if len(args) == 0 {
		l := listen(anyV4)
		n.gate(l.addr.String())
		for _, at := range [...]struct {
			step          string
			number, flags int
		}{{"kept", keptAt, 0}, {"closed", goneAt, unix.O_CLOEXEC}} {
			s := newParty(at.step+": server", Server, acceptAddress(l.fd))
			mustBe(l.addr, localAddr(s.fd))
			check(unix.Dup3(s.fd, at.number, at.flags))
			s.close()
			s.fd = at.number
			locate(s)
			serve(s)
			if at.number == goneAt {
				n.flows(s)
			}
		}
		n.flush()
		path, err := os.Executable()
		check(err)
		execute(path, "scenario", "serve-kept", "again")
	}
	_, err := unix.FcntlInt(goneAt, unix.F_GETFD, 0)
	expect(unix.EBADF, err)
	s := newParty("kept: server", Server, keptAt)
	locate(s)
	before := s.nextPath()
	s.flow.Received, s.flow.Sent = uint64(len(request(before))), uint64(len(response(before)))
	s.asked(before)
	serve(s)
	serve(s)
	s.close()
	n.flows(s)
}

// temporaryPath is one for a socket: such paths have to be short (unix(7)).
func temporaryPath() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("scenario-%d-%d", os.Getpid(), temporaryPaths.Add(1)))
}
