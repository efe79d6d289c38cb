//go:build amd64 || arm64

package workload

import (
	"net/netip"
	"strconv"
)

// outgoing connects to another namespace, and asks for no address.
//
//	0 the server's address
//	1 how many connections, with two requests each; all are open until the gate is passed
//
// Steps: "outgoing: client". Gates: "exchanged".
func outgoing(n *notes, args []string) {
	to := netip.MustParseAddrPort(args[0])
	count, err := strconv.Atoi(args[1])
	check(err)
	clients := make([]*party, count)
	for i := range clients {
		clients[i] = newParty("outgoing: client", Client, connectTo(to))
		clients[i].flow.LocalUnknown = true
		locate(clients[i])
		ask(clients[i])
		ask(clients[i])
	}
	n.gate("exchanged")
	for _, c := range clients {
		c.close()
	}
	n.flows(clients...)
}

// incoming serves connections of other namespaces, one after the other.
//
//	0 the address to listen on
//	1 how many connections will come
//
// Steps: "outgoing: server". Gates: "listening", "served".
func incoming(n *notes, args []string) {
	count, err := strconv.Atoi(args[1])
	check(err)
	l := listen(netip.MustParseAddrPort(args[0]))
	n.gate("listening")
	servers := make([]*party, count)
	for i := range servers {
		servers[i] = newParty("outgoing: server", Server, acceptAddress(l.fd))
		locate(servers[i])
		mustBe(servers[i].flow.Local, localAddr(servers[i].fd))
		serve(servers[i])
		serve(servers[i])
	}
	n.gate("served")
	for _, s := range servers {
		s.awaitEnd()
		s.close()
	}
	n.flows(servers...)
}
