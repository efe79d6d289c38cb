//go:build amd64 || arm64

package workload

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exit has processes end without closing their sockets.
//
// Steps, of client and server: "client exits", "server exits", "exits unread" (the client has not read everything).
func exit(n *notes, _ []string) {
	l := listen(anyV4)
	buffer := make([]byte, 100)

	for _, step := range [...]string{"client exits", "exits unread"} {
		run := n.start("exit-holding", "connect", l.addr.String(), step+": client")
		server := l.accept(step + ": server")
		server.receive(10, buffer)
		if step == "exits unread" {
			server.send(20)
		}
		check(run.Await("connected"))
		check(run.Continue(strconv.Itoa(int(server.end.Sent))))
		n.wait(run)
		if step == "exits unread" {
			server.awaitReset()
		} else {
			server.awaitEnd()
		}
		server.close()
		n.ends(server)
	}

	run := n.start("exit-holding", "accept", "server exits: server")
	address, err := run.AwaitAny()
	check(err)
	client := dial("server exits: client", netip.AddrPort{}, netip.MustParseAddrPort(address))
	client.send(10)
	check(run.Continue())
	check(run.Await("connected"))
	check(run.Continue("0"))
	n.wait(run)
	client.awaitEnd()
	client.close()
	n.ends(client)
}

// exitHolding ends with an open connection, and with as many unread bytes as it is asked to leave.
func exitHolding(n *notes, args []string) {
	var s *socket
	switch args[0] {
	case "connect":
		s = dial(args[2], netip.AddrPort{}, netip.MustParseAddrPort(args[1]))
		s.send(10)
	case "accept":
		l := listen(anyV4)
		n.gate(l.addr.String())
		s = l.accept(args[1])
		s.receive(10, make([]byte, 10))
	}
	unread, err := strconv.Atoi(n.gate("connected")[0])
	check(err)
	until("everything has come in", func() bool {
		waiting, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
		check(err)
		return waiting == unread
	})
	s.end.Received += uint64(unread)
	n.ends(s)
}

// fork has a process accept, and its child, which never does, serve and close.
//
// Steps: "client", "server".
func fork(n *notes, _ []string) {
	l := listen(anyV4)
	client := dial("client", netip.AddrPort{}, l.addr)
	server := l.accept("server")
	buffer := make([]byte, 64)
	client.send(len(buffer))
	child, err := forkAndEcho(uintptr(server.fd), uintptr(l.fd), unsafe.Pointer(unsafe.SliceData(buffer)), uintptr(len(buffer)))
	if err != 0 {
		check(err)
	}
	server.close() // the child's descriptor stays open
	client.receive(len(buffer), buffer)
	client.awaitEnd()
	client.close()
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(int(child), &status, 0, nil); !errors.Is(err, unix.EINTR) {
			check(err)
			break
		}
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		check(fmt.Errorf("the child has ended with %v", status))
	}
	server.end.Sent, server.end.Received = uint64(len(buffer)), uint64(len(buffer))
	n.ends(client, server)
}

// forkAndEcho forks without exec. The child has only this one of all threads, and may do nothing but system calls: it sends back
// what it receives, closes, and ends.
//
//go:norace
//go:nosplit
func forkAndEcho(fd, listener uintptr, buffer unsafe.Pointer, size uintptr) (uintptr, unix.Errno) {
	pid, _, err := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if err != 0 || pid != 0 {
		return pid, err
	}
	_, _, failed := unix.RawSyscall(unix.SYS_CLOSE, listener, 0, 0)
	got, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(buffer), size)
	failed |= err
	sent, _, err := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(buffer), got)
	failed |= err
	_, _, err = unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	failed |= err
	if got != size || sent != size {
		failed = 1
	}
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(failed), 0, 0)
	}
}

// pass has one process accept and pass the descriptor over a Unix socket to another process, which serves and closes.
//
// Steps: "client", "server".
func pass(n *notes, _ []string) {
	pipe, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	far := os.NewFile(uintptr(pipe[1]), "far end")
	cmd := Command(context.Background(), "take", strconv.Itoa(os.Getpid()))
	cmd.ExtraFiles = append(cmd.ExtraFiles, far)
	run := n.startCommand(cmd)
	check(far.Close())

	l := listen(anyV4)
	client := dial("client", netip.AddrPort{}, l.addr)
	server := l.accept("server")
	check(unix.Sendmsg(pipe[0], []byte{0}, unix.UnixRights(server.fd), nil, 0))
	server.close() // the other's descriptor stays open
	client.send(40)
	client.receive(60, make([]byte, 60))
	client.awaitEnd()
	client.close()
	n.ends(client)
	n.wait(run)
}

// take receives a connection that another process, with this pid, accepted.
func take(n *notes, args []string) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, size, _, _, err := unix.Recvmsg(inherited, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	check(err)
	messages, err := unix.ParseSocketControlMessage(rights[:size])
	check(err)
	fds, err := unix.ParseUnixRights(&messages[0])
	check(err)
	s := accepted("server", fds[0])
	s.end.PID, err = strconv.Atoi(args[0])
	check(err)
	s.receive(40, make([]byte, 40))
	s.send(60)
	s.close()
	n.ends(s)
}

// inherited is the first descriptor that a process inherits, beside the standard ones.
const inherited = 3

// execAfterAccept has a process accept and execute another program, which serves and closes, and accepts again.
//
//	0 the other program: this one, at another path
//
// Steps: "client", "server" (accepted before), "later client", "later server" (accepted by the other program).
func execAfterAccept(n *notes, args []string) {
	run := n.start("accept-and-exec", args[0])
	address, err := run.AwaitAny()
	check(err)
	l := netip.MustParseAddrPort(address)
	buffer := make([]byte, 8)
	for _, step := range [...]string{"client", "later client"} {
		s := dial(step, netip.AddrPort{}, l)
		if step == "client" {
			check(run.Continue())
		}
		s.send(8)
		s.receive(8, buffer)
		s.awaitEnd()
		s.close()
		n.ends(s)
	}
	n.wait(run)
}

func acceptAndExec(n *notes, args []string) {
	l := listen(anyV4)
	n.gate(l.addr.String())
	s := l.accept("")
	for i, fd := range [...]int{l.fd, s.fd} {
		check(unix.Dup3(fd, inherited+10+i, 0)) // without close-on-exec
		check(unix.Close(fd))
	}
	execute(args[0], "serve-inherited")
}

func serveInherited(n *notes, _ []string) {
	l := &listener{fd: inherited + 10}
	for _, s := range [...]*socket{accepted("server", inherited+11), nil} {
		if s == nil {
			s = l.accept("later server")
		}
		s.receive(8, make([]byte, 8))
		s.send(8)
		s.close()
		n.ends(s)
	}
}

// execute replaces this process's program by that at a path, which is to run a workload.
func execute(path, name string, args ...string) {
	check(os.Setenv(askedFor, name))
	check(os.Unsetenv(isolatedFor))
	check(unix.Exec(path, append([]string{path}, args...), os.Environ()))
}

// shortLived starts processes that connect once and end at once. The step of a client is its service name.
//
//	0 how many
//
// Steps: "short-0", "short-1" ..., "server".
func shortLived(n *notes, args []string) {
	count, err := strconv.Atoi(args[0])
	check(err)
	l := listen(anyV4)
	for i := range count {
		name := fmt.Sprintf("short-%d", i)
		cmd := Command(context.Background(), "connect-once", l.addr.String(), name)
		cmd.Env = append(cmd.Env, "OTEL_SERVICE_NAME="+name)
		run := n.startCommand(cmd)
		server := l.accept("server")
		n.wait(run)
		server.receive(4, make([]byte, 4))
		server.awaitEnd()
		server.close()
		n.ends(server)
	}
}

func connectOnce(n *notes, args []string) {
	s := dial(args[1], netip.AddrPort{}, netip.MustParseAddrPort(args[0]))
	s.send(4)
	s.close()
	n.ends(s)
}

// older opens connections before its gate, and goes on with them after it.
//
// Steps, of client and server: "open" (used before and after), "half-closed" (by the client, before), "waiting" (in the
// backlog, accepted afterwards), "blocked" (begun afterwards; the accept is older).
//
// Gates: "open".
func older(n *notes, _ []string) {
	l := listen(anyV4)
	open := dial("open: client", netip.AddrPort{}, l.addr)
	openServer := l.accept("open: server")
	buffer := make([]byte, 1000)
	open.send(100)
	openServer.receive(100, buffer)
	openServer.send(200)
	open.receive(200, buffer)

	half := dial("half-closed: client", netip.AddrPort{}, l.addr)
	halfServer := l.accept("half-closed: server")
	half.send(10)
	half.finish()
	check(halfServer.receiveAll(buffer))

	queue := listen(anyV4)
	waiting := dial("waiting: client", netip.AddrPort{}, queue.addr)
	waiting.send(5)

	late := listen(anyV4)
	blocked := make(chan *socket)
	thread := make(chan int)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		blocked <- late.accept("blocked: server")
	}()
	call := fmt.Sprintf("/proc/self/task/%d/syscall", <-thread)
	until("a thread is in accept", func() bool {
		text, err := os.ReadFile(call)
		check(err)
		return strings.HasPrefix(string(text), strconv.Itoa(unix.SYS_ACCEPT4)+" ")
	})

	n.gate("open")
	client := dial("blocked: client", netip.AddrPort{}, late.addr)
	server := <-blocked
	client.send(6)
	client.close()
	check(server.receiveAll(buffer))
	server.close()

	open.send(1000)
	openServer.receive(1000, buffer)
	open.close()
	openServer.awaitEnd()
	openServer.close()

	halfServer.send(20)
	halfServer.close()
	check(half.receiveAll(buffer))
	half.close()

	waitingServer := queue.accept("waiting: server")
	waiting.close()
	check(waitingServer.receiveAll(buffer))
	waitingServer.close()
	n.ends(open, openServer, half, halfServer, waiting, waitingServer, client, server)
}

// rounds opens connections each time its gate is passed.
//
//	0 the listener's address (optional)
//
// Steps: "client", "server". Gates: "round", to be passed with a number of connections, with "become" and the path of
// this program under another name, or with "end".
func rounds(n *notes, args []string) {
	on := anyV4
	if len(args) > 0 {
		on = netip.MustParseAddrPort(args[0])
	}
	l := listen(on)
	buffer := make([]byte, 10)
	for {
		words := n.gate("round")
		switch words[0] {
		case "end":
			return
		case "become":
			execute(words[1], "rounds", args...)
		}
		count, err := strconv.Atoi(words[0])
		check(err)
		for range count {
			client := dial("client", netip.AddrPort{}, l.addr)
			server := l.accept("server")
			client.send(10)
			server.receive(10, buffer)
			client.close()
			server.awaitEnd()
			server.close()
			n.ends(client, server)
		}
	}
}
