//go:build amd64 || arm64

package workload

import (
	"context"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// passedByPair has a process accept and pass the descriptor over a Unix socketpair. It closes its own descriptor at once, and the
// other process serves.
//
// Steps, of client and server: "passed by pair", three times.
func passedByPair(n *notes, _ []string) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	far := os.NewFile(uintptr(pair[1]), "far end")
	passConnections(n, "passed by pair", pair[0], far, strconv.Itoa(inherited))
}

// passedByName is passedByPair over a Unix socket with a name.
//
// Steps, of client and server: "passed by name", three times.
func passedByName(n *notes, _ []string) {
	path := temporaryPath()
	listener := unixListener(&unix.SockaddrUnix{Name: path})
	run := n.start("scenario", "take", "passed by name", strconv.Itoa(os.Getpid()), path)
	fd := acceptAddress(listener)
	check(os.Remove(path))
	passAll(n, "passed by name", fd)
	check(unix.Close(fd))
	n.takeFlows(run)
}

func passConnections(n *notes, step string, over int, far *os.File, where string) {
	cmd := Command(context.Background(), "scenario", "take", step, strconv.Itoa(os.Getpid()), where)
	cmd.ExtraFiles = append(cmd.ExtraFiles, far)
	run := n.startCommand(cmd)
	check(far.Close())
	passAll(n, step, over)
	check(unix.Close(over))
	n.takeFlows(run)
}

// passed is how many connections are passed to another process, one after the other.
const passed = 3

func passAll(n *notes, step string, over int) {
	l := listen(anyV4)
	for range passed {
		c, s := parties(step, connectTo(l.addr), acceptAddress(l.fd))
		mustBe(l.addr, localAddr(s.fd))
		c.flow.Local, c.flow.Remote = localAddr(c.fd), l.addr
		check(retry(func() error { return unix.Sendmsg(over, []byte{0}, unix.UnixRights(s.fd), nil, 0) }))
		s.close() // the other's descriptor stays open
		for range 2 {
			path := c.nextPath()
			c.send(request(path))
			c.receive(len(response(path)))
			c.asked(path)
		}
		c.awaitEnd()
		c.close()
		n.flows(c)
	}
}

// takeAndServe receives connections that another process accepted, and serves them.
//
//	0 the step of both ends
//	1 the pid of the process that accepted
//	2 the name of the socket over which they come, or inherited
func takeAndServe(n *notes, args []string) {
	over := inherited
	if args[2] != strconv.Itoa(inherited) {
		over = unixConnected(&unix.SockaddrUnix{Name: args[2]})
	}
	for range passed {
		s := newParty(args[0]+": server", Server, takeDescriptor(over))
		locate(s)
		s.flow.ServedBy = s.flow.PID
		var err error
		s.flow.PID, err = strconv.Atoi(args[1])
		check(err)
		for range 2 {
			path := s.nextPath()
			s.receive(len(request(path)))
			s.send(response(path))
			s.asked(path)
		}
		s.close()
		n.flows(s)
	}
}

// takeDescriptor receives a descriptor over a Unix socket.
func takeDescriptor(over int) int {
	rights := make([]byte, unix.CmsgSpace(4))
	var size int
	check(retry(func() (err error) {
		_, size, _, _, err = unix.Recvmsg(over, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
		return err
	}))
	all, err := unix.ParseSocketControlMessage(rights[:size])
	check(err)
	if len(all) == 0 {
		check(errors.New("no descriptor has come"))
	}
	fds, err := unix.ParseUnixRights(&all[0])
	check(err)
	return fds[0]
}
