//go:build amd64 || arm64

package workload

import (
	"flag"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// load opens short connections at a rate, with a request and a response of some bytes each, and writes down how many.
//
//	-n       connections in all
//	-rate    connections per second; 0: as many as possible
//	-bytes   in each direction
//	-workers threads, each with clients and listeners of its own
//	-spread  listeners of each worker, on addresses of their own: so many times more ports to connect from
//
// Gates: "ready".
func load(n *notes, args []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	var (
		count   = flags.Int("n", 1000, "")
		rate    = flags.Float64("rate", 0, "")
		size    = flags.Int("bytes", 64, "")
		workers = flags.Int("workers", 2, "")
		spread  = flags.Int("spread", 16, "")
	)
	check(flags.Parse(args))
	all := make([]*loader, *workers)
	for i := range all {
		all[i] = newLoader(i, *spread, *size)
	}
	n.gate("ready")
	var next atomic.Int64 // connection
	var working sync.WaitGroup
	var behind atomic.Int64
	began := time.Now()
	for _, worker := range all {
		working.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(*count) {
					return
				}
				if *rate > 0 {
					due := began.Add(time.Duration(float64(i) / *rate * float64(time.Second)))
					if ahead := time.Until(due); ahead > nap {
						time.Sleep(ahead)
					} else {
						behind.Store(int64(max(-ahead, 0)))
					}
				}
				worker.connection(int(i))
			}
		})
	}
	working.Wait()
	n.write(line{Load: &Load{
		PID: os.Getpid(), Connections: *count, Elapsed: time.Since(began), Behind: time.Duration(behind.Load()),
	}})
}

// nap is how far ahead of its rate a load may run: sleeping before every connection would cost more than the connection.
const nap = 2 * time.Millisecond

// loader has both ends of its connections, so that they cost as little as possible.
type loader struct {
	listeners []*listener
	addresses []unix.Sockaddr
	request   []byte
}

func newLoader(worker, spread, size int) *loader {
	l := &loader{request: make([]byte, max(size, 1))}
	for i := range spread {
		on := listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(worker + 1), byte(i + 1)}), 0))
		l.listeners = append(l.listeners, on)
		l.addresses = append(l.addresses, sockaddr(on.addr))
	}
	return l
}

func (l *loader) connection(i int) {
	i %= len(l.listeners)
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	check(err)
	check(unix.Connect(client, l.addresses[i]))
	server, _, err := unix.Accept4(l.listeners[i].fd, unix.SOCK_CLOEXEC)
	check(err)
	transfer(client, server, l.request)
	transfer(server, client, l.request)
	check(unix.Close(client))
	check(unix.Close(server))
}

func transfer(from, to int, data []byte) {
	for done := 0; done < len(data); {
		n, err := unix.Write(from, data[done:])
		check(err)
		done += n
	}
	for done := 0; done < len(data); {
		n, err := unix.Read(to, data[done:])
		check(err)
		done += n
	}
}
