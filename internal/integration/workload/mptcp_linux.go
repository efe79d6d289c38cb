//go:build amd64 || arm64

package workload

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
)

// mptcp uses Multipath TCP, as Go's listeners do from 1.24 on, with one peer that supports it and one that does not.
//
// Steps, of client and server: "plain", "multipath".
func mptcp(n *notes, _ []string) {
	var config net.ListenConfig
	config.SetMultipathTCP(true)
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	check(err)
	for _, multipath := range [...]bool{false, true} {
		step := map[bool]string{false: "plain", true: "multipath"}[multipath]
		var dialer net.Dialer
		dialer.SetMultipathTCP(multipath)
		client, err := dialer.Dial("tcp", l.Addr().String())
		check(err)
		server, err := l.Accept()
		check(err)
		_, err = client.Write(payload[:30])
		check(err)
		_, err = io.ReadFull(server, make([]byte, 30))
		check(err)
		check(client.Close())
		_, err = io.Copy(io.Discard, server)
		check(err)
		check(server.Close())
		for _, end := range [...]End{
			{Step: step + ": client", Role: Client, Sent: 30, Local: connAddr(client.LocalAddr()), Remote: connAddr(client.RemoteAddr())},
			{Step: step + ": server", Role: Server, Received: 30, Local: connAddr(server.LocalAddr()), Remote: connAddr(server.RemoteAddr())},
		} {
			end.PID, end.NetNS = os.Getpid(), netNS()
			n.write(line{End: &end})
		}
	}
	check(l.Close())
}

func connAddr(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }
