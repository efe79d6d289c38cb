//go:build amd64 || arm64

package workload

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// closing is who ends a connection first, and how.
type closing uint8

const (
	clientCloses closing = iota
	serverCloses
	clientFinishes // half-closes; then the server sends
	serverFinishes // half-closes; then the client sends
	clientResets
	serverResets
	bothClose // neither waits for the other
	closings
)

// closingNames are the steps of both ends.
var closingNames = [closings]string{
	"client closes", "server closes", "client finishes", "server finishes", "client resets", "server resets", "both close",
}

// order is the client's request at the beginning of a connection.
type order struct {
	Up, Down uint32 // bytes that the client and the server send
	Closing  closing
}

const orderSize = 9

// path is a way to a listener.
type path struct {
	listener int          // index
	to       []netip.Addr // the listener's address, in the client's form
}

// paths lead to the listeners of IPv4, of IPv6, and of both. A v4-mapped address is for a socket of IPv6 that uses IPv4.
var paths = [...]path{
	{0, loopbacks("")},
	{0, loopbacks("::ffff:")},
	{1, []netip.Addr{netip.IPv6Loopback()}},
	{2, loopbacks("")},
	{2, loopbacks("::ffff:")},
	{2, []netip.Addr{netip.IPv6Loopback()}},
}

func loopbacks(prefix string) []netip.Addr {
	var all []netip.Addr
	for _, a := range [...]string{"127.0.0.1", "127.0.1.2", "127.1.0.254", "127.200.100.50", "127.255.255.254"} {
		all = append(all, netip.MustParseAddr(prefix+a))
	}
	return all
}

// fixedPorts are different numbers if their bytes are swapped.
var fixedPorts = [...]uint16{0x0102, 0x0203, 0x0304}

// connections opens many connections: over IPv4, IPv6 and IPv4 in IPv6, with random amounts of data both ways, closed in all ways
// and in mixed order. The steps are the closingNames.
//
//	-n       how many
//	-seed    of the random choices
//	-at-once how many at a time
//	-split   the servers are in another process
//	-fixed   fixedPorts for the listeners and explicit ones for every third client, for a namespace of its own
func connections(n *notes, args []string) {
	flags := flag.NewFlagSet("connections", flag.ExitOnError)
	var (
		count  = flags.Int("n", 100, "")
		seed   = flags.Uint64("seed", 1, "")
		atOnce = flags.Int("at-once", 16, "")
		split  = flags.Bool("split", false, "")
		fixed  = flags.Bool("fixed", false, "")
	)
	check(flags.Parse(args))

	var ports []uint16
	var stop func(accepted int)
	if *split {
		ports, stop = startServer(n, *fixed)
	} else {
		s := newServer(n, *fixed)
		ports, stop = s.ports(), s.stop
	}
	var clients sync.WaitGroup
	for worker := range *atOnce {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(worker))) //nolint:gosec // to be had again from the seed
			buffer := make([]byte, 64<<10)
			for i := worker; i < *count; i += *atOnce {
				p := &paths[i%len(paths)]
				to := netip.AddrPortFrom(p.to[random.IntN(len(p.to))], ports[p.listener])
				var from netip.AddrPort
				if *fixed && i%3 == 0 {
					// From 0x0401 on, below the ports that the kernel chooses, each of them once.
					from = netip.AddrPortFrom(p.to[random.IntN(len(p.to))], uint16(0x0401+i/3))
				}
				o := order{Up: amount(random), Down: amount(random), Closing: closing(random.IntN(int(closings)))}
				s := dial(closingNames[o.Closing], from, to)
				s.converse(o, buffer)
				n.ends(s)
			}
		})
	}
	clients.Wait()
	stop(*count)
}

// amount is a random number of bytes: sometimes none, mostly few, seldom many.
func amount(random *rand.Rand) uint32 {
	switch random.IntN(8) {
	case 0:
		return 0
	case 1:
		return random.Uint32N(200 << 10)
	default:
		return random.Uint32N(3000)
	}
}

// converse is the client's part of a connection.
func (s *socket) converse(o order, buffer []byte) {
	var head [orderSize]byte
	_, err := binary.Encode(head[:], binary.BigEndian, o)
	check(err)
	s.sendBytes(head[:])
	if o.Closing != serverFinishes {
		s.send(int(o.Up))
	}
	if o.Closing == clientFinishes {
		s.finish()
	}
	s.receive(int(o.Down), buffer)
	switch o.Closing {
	case clientCloses, bothClose:
		s.close()
	case serverCloses, clientFinishes:
		s.awaitEnd()
		s.close()
	case serverFinishes:
		s.awaitEnd()
		s.send(int(o.Up))
		s.close()
	case clientResets:
		s.receive(1, buffer) // the server has everything
		s.reset()
	case serverResets:
		s.send(1)
		s.awaitReset()
		s.close()
	}
}

// answer is the server's part of a connection.
func (s *socket) answer(buffer []byte) {
	var o order
	s.receive(orderSize, buffer)
	_, err := binary.Decode(buffer[:orderSize], binary.BigEndian, &o)
	check(err)
	s.end.Step = closingNames[o.Closing]
	if o.Closing != serverFinishes {
		s.receive(int(o.Up), buffer)
	}
	if o.Closing == clientFinishes {
		s.awaitEnd()
	}
	s.send(int(o.Down))
	switch o.Closing {
	case clientCloses:
		s.awaitEnd()
		s.close()
	case serverCloses, clientFinishes, bothClose:
		s.close()
	case serverFinishes:
		s.finish()
		s.receive(int(o.Up), buffer)
		s.awaitEnd()
		s.close()
	case clientResets:
		s.send(1)
		s.awaitReset()
		s.close()
	case serverResets:
		s.receive(1, buffer) // the client has everything
		s.reset()
	}
}

// server serves three listeners: of IPv4, of IPv6, and of both.
type server struct {
	listeners []*listener
	accepted  atomic.Int64
	working   sync.WaitGroup
}

func newServer(n *notes, fixed bool) *server {
	var ports [len(fixedPorts)]uint16
	if fixed {
		ports = fixedPorts
	}
	s := &server{listeners: []*listener{
		listen(netip.AddrPortFrom(netip.IPv4Unspecified(), ports[0])),
		listen(netip.AddrPortFrom(netip.IPv6Unspecified(), ports[1])),
		listenDual(ports[2]),
	}}
	s.listeners[1].byAccept = true
	for _, l := range s.listeners {
		s.working.Go(func() {
			for {
				client, ok := l.tryAccept("")
				if !ok {
					return
				}
				s.accepted.Add(1)
				s.working.Go(func() {
					client.answer(make([]byte, 32<<10))
					n.ends(client)
				})
			}
		})
	}
	return s
}

func (s *server) ports() []uint16 {
	var ports []uint16
	for _, l := range s.listeners {
		ports = append(ports, l.addr.Port())
	}
	return ports
}

// stop waits for so many connections to end.
func (s *server) stop(accepted int) {
	until("all clients are accepted", func() bool { return s.accepted.Load() == int64(accepted) })
	for _, l := range s.listeners {
		l.stop()
	}
	s.working.Wait()
	for _, l := range s.listeners {
		l.close()
	}
}

// connectionServer is the server of connections -split. It waits at a gate that is named after its ports, and is passed with the
// number of connections.
func connectionServer(n *notes, args []string) {
	flags := flag.NewFlagSet("connection-server", flag.ExitOnError)
	fixed := flags.Bool("fixed", false, "")
	check(flags.Parse(args))
	s := newServer(n, *fixed)
	accepted, err := strconv.Atoi(strings.Join(n.gate(portsText(s.ports())), ""))
	check(err)
	s.stop(accepted)
}

func startServer(n *notes, fixed bool) (ports []uint16, stop func(accepted int)) {
	run := n.start("connection-server", fmt.Sprintf("-fixed=%t", fixed))
	gate, err := run.AwaitAny()
	check(err)
	return portsOf(gate), func(accepted int) {
		check(run.Continue(strconv.Itoa(accepted)))
		n.wait(run)
	}
}

func portsText(ports []uint16) string {
	return strings.Trim(fmt.Sprint(ports), "[]")
}

func portsOf(text string) (ports []uint16) {
	for field := range strings.FieldsSeq(text) {
		port, err := strconv.ParseUint(field, 10, 16)
		check(err)
		ports = append(ports, uint16(port))
	}
	return ports
}

// stop makes every blocked and every further accept fail.
func (l *listener) stop() { check(unix.Shutdown(l.fd, unix.SHUT_RDWR)) }
