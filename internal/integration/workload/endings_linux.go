//go:build amd64 || arm64

package workload

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// connected is a connection whose listener has been closed.
func connected(client, server string) (*socket, *socket) {
	l := listen(anyV4)
	defer l.close()
	c := dial(client, netip.AddrPort{}, l.addr)
	return c, l.accept(server)
}

// pair opens one connection.
//
//	0 the listener's address
//	1 the client's address
//
// Steps: "client", "server". Gates: "connected".
func pair(n *notes, args []string) {
	l := listen(netip.MustParseAddrPort(args[0]))
	client := dial("client", netip.MustParseAddrPort(args[1]), l.addr)
	server := l.accept("server")
	n.gate("connected")
	client.send(3)
	server.receive(3, make([]byte, 3))
	client.close()
	server.awaitEnd()
	server.close()
	n.ends(client, server)
}

// reset ends connections by RST.
//
// Steps, of client and server: "by server", "by client" (with SO_LINGER), "unread" (the server closes and has not read
// everything), "late" (the client has closed; what the server sends then is answered with a RST).
func reset(n *notes, _ []string) {
	buffer := make([]byte, 100)

	client, server := connected("by server: client", "by server: server")
	client.send(20)
	server.receive(20, buffer)
	server.reset()
	client.awaitReset()
	client.close()
	n.ends(client, server)

	client, server = connected("by client: client", "by client: server")
	client.send(20)
	server.receive(20, buffer)
	client.reset()
	server.awaitReset()
	server.close()
	n.ends(client, server)

	client, server = connected("unread: client", "unread: server")
	client.send(20)
	server.receive(5, buffer)
	server.close()
	server.end.Received = client.end.Sent
	client.awaitReset()
	client.close()
	n.ends(client, server)

	client, server = connected("late: client", "late: server")
	client.close()
	server.awaitEnd()
	server.send(10)
	server.poll(0)
	expect(unix.EPIPE, server.trySend(10))
	server.close()
	n.ends(client, server)
}

// halfClosed has the client finish, and the server send for a while after that.
//
// Steps: "client", "server".
func halfClosed(n *notes, _ []string) {
	client, server := connected("client", "server")
	buffer := make([]byte, 1000)
	client.send(100)
	client.finish()
	check(server.receiveAll(buffer))
	for range 10 {
		server.send(1000)
	}
	server.close()
	check(client.receiveAll(buffer))
	client.close()
	n.ends(client, server)
}

// neverRead has the server accept and never read.
//
// Steps, of client and server: "fin" (the client closes first), "rst" (the server does).
func neverRead(n *notes, _ []string) {
	client, server := connected("fin: client", "fin: server")
	client.send(1000)
	client.close()
	server.poll(unix.POLLRDHUP)
	server.close()
	server.end.Received = client.end.Sent
	n.ends(client, server)

	client, server = connected("rst: client", "rst: server")
	client.send(1000)
	server.poll(unix.POLLIN)
	server.close()
	server.end.Received = client.end.Sent
	client.awaitReset()
	client.close()
	n.ends(client, server)
}

// neverAccepted leaves connections in the backlog.
//
// Steps, of client and server: "waiting" (until the listener is closed), "given up" (closed by the client before).
func neverAccepted(n *notes, _ []string) {
	l := listen(anyV4)
	waiting := dial("waiting: client", netip.AddrPort{}, l.addr)
	waiting.send(100)
	given := dial("given up: client", netip.AddrPort{}, l.addr)
	given.send(50)
	given.close()
	l.close()
	waiting.awaitReset()
	waiting.close()
	waitingServer, givenServer := waiting.unaccepted("waiting: server"), given.unaccepted("given up: server")
	waitingServer.end.Received, givenServer.end.Received = waiting.end.Sent, given.end.Sent
	n.ends(waiting, waitingServer, given, givenServer)
}
