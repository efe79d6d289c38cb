//go:build amd64 || arm64

package workload

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// requests makes HTTP/1.1 requests at a rate over connections that stay open, with both ends here, and writes down how many.
// Request i asks for /requests/<i>.
//
//	-n           requests in all
//	-rate        requests per second; 0: as many as it can
//	-connections that take turns
//	-pipeline    requests that are sent before their responses are
//	-body        bytes of each response's body
//	-workers     threads, each with its share of the connections
//
// Gates: "ready", before the connections are opened; "done", before they are closed.
func requests(n *notes, args []string) {
	flags := flag.NewFlagSet("requests", flag.ExitOnError)
	var (
		count       = flags.Int("n", 1000, "")
		rate        = flags.Float64("rate", 0, "")
		connections = flags.Int("connections", 64, "")
		pipeline    = flags.Int("pipeline", 1, "")
		body        = flags.Int("body", 100, "")
		workers     = flags.Int("workers", 2, "")
	)
	check(flags.Parse(args))
	n.gate("ready")
	all := make([]*requester, *workers)
	for i := range all {
		all[i] = newRequester(*connections / *workers, *pipeline, *body)
	}
	var behind, bytes atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	for i, worker := range all {
		working.Go(func() {
			// In turns, so that each connection has its share, whichever is faster.
			for first := i * *pipeline; first < *count; first += *workers * *pipeline {
				if *rate > 0 {
					due := began.Add(time.Duration(float64(first) / *rate * float64(time.Second)))
					if ahead := time.Until(due); ahead > nap {
						time.Sleep(ahead)
					} else {
						behind.Store(int64(max(-ahead, 0)))
					}
				}
				bytes.Add(int64(worker.exchange(first, min(*pipeline, *count-first))))
			}
		})
	}
	working.Wait()
	n.write(line{Load: &Load{
		PID: os.Getpid(), Connections: *connections, Requests: *count, Bytes: int(bytes.Load()),
		Elapsed: time.Since(began), Behind: time.Duration(behind.Load()),
	}})
	n.gate("done")
	for _, worker := range all {
		worker.close()
	}
}

// requester has both ends of its connections.
type requester struct {
	clients, servers []int
	turn             int
	response         []byte
	buffer, answer   []byte
}

func newRequester(connections, pipeline, body int) *requester {
	r := &requester{}
	on := listen(netip.MustParseAddrPort("127.0.0.1:0"))
	for range connections {
		client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		check(err)
		check(unix.Connect(client, sockaddr(on.addr)))
		server, _, err := unix.Accept4(on.fd, unix.SOCK_CLOEXEC)
		check(err)
		r.clients, r.servers = append(r.clients, client), append(r.servers, server)
	}
	r.response = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: workload\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", body)
	r.response = append(r.response, make([]byte, body)...)
	for range pipeline {
		r.answer = append(r.answer, r.response...)
	}
	return r
}

// exchange makes some requests on the connection whose turn it is, and returns how many bytes went over it.
func (r *requester) exchange(first, count int) int {
	r.turn = (r.turn + 1) % len(r.clients)
	client, server := r.clients[r.turn], r.servers[r.turn]
	r.buffer = r.buffer[:0]
	for i := range count {
		r.buffer = fmt.Appendf(r.buffer, "GET /requests/%d HTTP/1.1\r\nHost: workload.test\r\nUser-Agent: workload\r\n\r\n", first+i)
	}
	transfer(client, server, r.buffer)
	answer := r.answer[:count*len(r.response)]
	transfer(server, client, answer)
	return len(r.buffer) + len(answer)
}

func (r *requester) close() {
	for i := range r.clients {
		check(unix.Close(r.clients[i]))
		check(unix.Close(r.servers[i]))
	}
}
