//go:build amd64 || arm64

package workload

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bulk sends bytes over a connection with itself, as fast as possible, and writes down how long that took.
//
//	-bytes in all
//	-call  bytes of a system call, at most
//	-http  they are the body of the response to GET /bulk; otherwise they belong to no protocol that is parsed
//
// Gates: "ready", before the connection is opened; "done", before it is closed.
func bulk(n *notes, args []string) {
	flags := flag.NewFlagSet("bulk", flag.ExitOnError)
	var (
		size = flags.Int("bytes", 1<<30, "")
		call = flags.Int("call", 64<<10, "")
		http = flags.Bool("http", false, "")
	)
	check(flags.Parse(args))
	n.gate("ready")
	on := listen(netip.MustParseAddrPort("127.0.0.1:0"))
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	check(err)
	check(unix.Connect(client, sockaddr(on.addr)))
	server, _, err := unix.Accept4(on.fd, unix.SOCK_CLOEXEC)
	check(err)
	did := Load{PID: os.Getpid(), Connections: 1, Bytes: *size}
	if *http {
		request := []byte("GET /bulk HTTP/1.1\r\nHost: workload.test\r\n\r\n")
		head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: workload\r\nContent-Length: %d\r\n\r\n", *size)
		transfer(client, server, request)
		transfer(server, client, head)
		did.Requests, did.Bytes = 1, *size+len(request)+len(head)
	}
	began := time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		piece := make([]byte, *call)
		for left := *size; left > 0; {
			written, err := unix.Write(server, piece[:min(len(piece), left)])
			check(err)
			left -= written
		}
	}()
	piece := make([]byte, *call)
	for left := *size; left > 0; {
		read, err := unix.Read(client, piece[:min(len(piece), left)])
		check(err)
		if read == 0 {
			check(io.ErrUnexpectedEOF)
		}
		left -= read
	}
	<-sent
	did.Elapsed = time.Since(began)
	n.write(line{Load: &did})
	n.gate("done")
	check(unix.Close(client))
	check(unix.Close(server))
}
