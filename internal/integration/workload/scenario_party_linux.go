//go:build amd64 || arm64

package workload

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// party is one end of a conversation: a descriptor, how it is used, and its flow. Its methods make no calls on the socket but
// those that they name, so that a scenario avoids the calls that it has to avoid. They end the process if they fail.
type party struct {
	fd   int
	with *calls
	flow Flow
}

// newParty is a party of this process over TCP that uses write and read.
func newParty(step string, role Role, fd int) *party {
	return &party{fd: fd, with: &plain, flow: Flow{
		End: End{Step: step, PID: os.Getpid(), NetNS: netNS(), Role: role}, Transport: TCP,
	}}
}

// parties are the two ends of a connection. Each end's step is the step of both, and its role.
func parties(step string, client, server int) (*party, *party) {
	return newParty(step+": client", Client, client), newParty(step+": server", Server, server)
}

// request and response are the messages for a path. Their sizes depend on nothing else.
func request(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: scenario.test\r\n\r\n", path)
}

func response(path string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
}

// makeRequests has a client make so many requests of a server, one after the other. Both ends are in this process.
func makeRequests(client, server *party, requests int) {
	for range requests {
		path := client.nextPath()
		client.send(request(path))
		server.receive(len(request(path)))
		server.send(response(path))
		client.receive(len(response(path)))
		client.asked(path)
		server.asked(path)
	}
}

// nextPath is a path that the process has not used yet.
func (p *party) nextPath() string {
	step, _, _ := strings.Cut(p.flow.Step, ":")
	return "/" + strings.ReplaceAll(step, " ", "-") + "/" + strconv.Itoa(len(p.flow.Requests))
}

func (p *party) asked(path string) { p.flow.Requests = append(p.flow.Requests, path) }

// send sends all bytes.
func (p *party) send(all []byte) {
	for len(all) > 0 {
		n, err := p.with.write(p.fd, all)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		check(err)
		p.flow.Sent += uint64(n)
		all = all[n:]
	}
}

// receive receives so many bytes, which the other end has to send.
func (p *party) receive(n int) {
	buffer := make([]byte, n)
	for n > 0 {
		got, err := p.with.read(p.fd, buffer[:n])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		check(err)
		if got == 0 {
			check(fmt.Errorf("%s: %d bytes are missing", p.flow.Step, n))
		}
		p.flow.Received += uint64(got)
		n -= got
	}
}

// awaitEnd waits for the end of the other side's stream, before which no more bytes may come.
func (p *party) awaitEnd() {
	for {
		n, err := p.with.read(p.fd, make([]byte, 1))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		check(err)
		if n != 0 {
			check(fmt.Errorf("%s: received what nobody should have sent", p.flow.Step))
		}
		return
	}
}

func (p *party) close() { check(unix.Close(p.fd)) }

// part closes the first end, then the other.
func part(first, other *party) {
	first.close()
	other.awaitEnd()
	other.close()
}

// locate finds out the addresses of TCP or UDP sockets without a call on them.
func locate(parties ...*party) {
	for _, p := range parties {
		p.flow.Local, p.flow.Remote = whereabouts(p.fd, p.flow.Transport)
	}
}

// procTables list the sockets of a transport, of IPv4 and of IPv6.
var procTables = map[Transport][2]string{
	TCP: {"/proc/self/net/tcp", "/proc/self/net/tcp6"},
	UDP: {"/proc/self/net/udp", "/proc/self/net/udp6"},
}

// whereabouts finds the addresses of a socket, by its inode in /proc/self/net (proc_pid_net(5)): an observer sees no call on the
// socket. An IPv4 address in an IPv6 socket is mapped.
func whereabouts(fd int, over Transport) (local, remote netip.AddrPort) {
	var stat unix.Stat_t
	check(unix.Fstat(fd, &stat))
	inode := strconv.FormatUint(stat.Ino, 10)
	for _, path := range procTables[over] {
		table, err := os.ReadFile(path)
		check(err)
		for row := range strings.Lines(string(table)) {
			// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
			if f := strings.Fields(row); len(f) > 9 && f[9] == inode {
				return procAddress(f[1]), procAddress(f[2])
			}
		}
	}
	check(fmt.Errorf("the socket %d with inode %s is not in /proc/self/net/%s", fd, inode, over))
	return local, remote
}

// procAddress parses the kernel's format of an address: words of 32 bits in host order, which is little-endian here, and a port.
func procAddress(text string) netip.AddrPort {
	words, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(words)
	check(err)
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok {
		check(fmt.Errorf("no address: %q", text))
	}
	check(err)
	return netip.AddrPortFrom(address, uint16(number))
}

// socketLike makes a TCP socket of the family of an address. nonblocking is 0 or unix.SOCK_NONBLOCK.
func socketLike(a netip.Addr, nonblocking int) int {
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|nonblocking, unix.IPPROTO_TCP)
	check(err)
	return fd
}

// connectTo connects a new socket, which blocks meanwhile.
func connectTo(a netip.AddrPort) int {
	fd := socketLike(a.Addr(), 0)
	check(retry(func() error { return unix.Connect(fd, sockaddr(a)) }))
	return fd
}

// retry repeats a call that was interrupted. None of the calls here has an effect then, except connect, which goes on: a second
// one that waits for it looks to an observer like the scenario of a second connect.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// acceptNull accepts without asking for the peer's address.
func acceptNull(listener int) int {
	var fd uintptr
	check(retry(func() (err error) {
		var number unix.Errno
		if fd, _, number = unix.Syscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_CLOEXEC, 0, 0); number != 0 {
			return number
		}
		return nil
	}))
	return int(fd)
}

// acceptAddress accepts and asks for the peer's address.
func acceptAddress(listener int) int {
	var fd int
	check(retry(func() (err error) {
		fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return err
	}))
	return fd
}
