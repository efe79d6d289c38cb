//go:build amd64 || arm64

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// recording holds the kernel's records of a workload, each after its length, at multiples of 8 bytes. It lies outside of the Go
// heap, whose size determines how often garbage is collected.
type recording struct {
	memory []byte
	used   int
	events int
}

// recordingBytes bounds a recording.
const recordingBytes = 256 << 20

func newRecording() (*recording, error) {
	memory, err := unix.Mmap(-1, 0, recordingBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map the recording: %w", err)
	}
	return &recording{memory: memory}, nil
}

func (r *recording) close() error { return unix.Munmap(r.memory) }

func (r *recording) add(raw []byte) error {
	end := r.used + 8 + (len(raw)+7)/8*8
	if end > len(r.memory) {
		return errors.New("the recording is full")
	}
	binary.NativeEndian.PutUint64(r.memory[r.used:], uint64(len(raw)))
	copy(r.memory[r.used+8:], raw)
	r.used = end
	r.events++
	return nil
}

// next returns the record at an offset, and the offset of the next one.
func (r *recording) next(at int) (raw []byte, behind int) {
	n := int(binary.NativeEndian.Uint64(r.memory[at:]))
	return r.memory[at+8 : at+8+n : at+8+n], at + 8 + (n+7)/8*8
}

// requestTarget is the target of request i, in a form that programs use.
func requestTarget(i int) string { return fmt.Sprintf("/api/v1/items/%d?page=2&sort=name", i) }

// record records the kernel's events of a dialogue.
func record(d *dialogue) (r *recording, err error) {
	tracer, err := kernel.OpenSockets(kernel.Options{
		Shards: 1, RingBytes: 64 << 20, Processes: 1024, Sockets: 1024, Data: true, UDP: true, DatagramData: true, DatagramIdle: time.Minute,
		PayloadLimit: 256 << 10, PayloadBurst: 4 << 20,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tracer.Close()) }()
	if r, err = newRecording(); err != nil {
		return nil, err
	}
	at, talk, err := d.listen()
	if err != nil {
		return nil, err
	}
	written := make(chan error, 1)
	go func() { written <- r.take(tracer, at.Port()) }()
	if err := talk(); err != nil {
		return nil, err
	}
	if err := errors.Join(tracer.Detach(), tracer.Readers()[0].Flush(), <-written); err != nil {
		return nil, err
	}
	losses, err := tracer.Counters()
	if lost := losses.RingFull[event.KindData] + losses.PayloadRingFull; lost > 0 {
		err = fmt.Errorf("%d events lost something", lost)
	}
	return r, err
}

// take records the events of connections to a port, until all have been read.
func (r *recording) take(tracer *kernel.SocketTracer, port uint16) error {
	reader := tracer.Readers()[0]
	var e event.Event
	ours := map[uint64]bool{}
	for {
		switch err := reader.Next(&e); {
		case errors.Is(err, kernel.ErrEnd):
			return nil
		case err != nil:
			return err
		}
		if e.Flow.Local.Port() == port || e.Flow.Remote.Port() == port {
			if !ours[e.Flow.Cookie] && e.Flow.Transport == event.UDP { // of datagrams little is captured until somebody wants more
				tracer.Want(e.Flow.Cookie, whole())
			}
			ours[e.Flow.Cookie] = true
		}
		if ours[e.Flow.Cookie] || e.Kind == event.KindProcess {
			if err := r.add(reader.Raw()); err != nil {
				return err
			}
		}
	}
}

// listenTCP returns a listener on the loopback, and where it is.
func listenTCP() (net.Listener, netip.AddrPort, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return listener, listener.Addr().(*net.TCPAddr).AddrPort(), nil
}

// listenHTTP is a dialogue in HTTP.
func listenHTTP(version string, requests, atOnce int) (netip.AddrPort, func() error, error) {
	listener, at, err := listenTCP()
	return at, func() error { return ask(version, listener, requests, atOnce) }, err
}

// ask makes requests, so many at once, over connections that stay open, to a server that it runs.
func ask(version string, listener net.Listener, requests, atOnce int) error {
	var protocols http.Protocols
	protocols.SetHTTP1(version == "1.1")
	protocols.SetUnencryptedHTTP2(version == "2")
	server := &http.Server{
		Protocols:         &protocols,
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":4711,"name":"a name","price":"12.50","currency":"EUR"}`) //nolint:errcheck // the client reports it
		}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{
		Protocols: &protocols, MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce, DisableCompression: true,
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var next atomic.Int64
	var asking sync.WaitGroup
	errs := make([]error, atOnce)
	for i := range atOnce {
		asking.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1))
				if n > requests {
					return
				}
				errs[i] = get(ctx, client, "http://"+listener.Addr().String()+requestTarget(n), n)
			}
		})
	}
	asking.Wait()
	client.CloseIdleConnections()
	err := errors.Join(append(errs, server.Shutdown(ctx))...)
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}

func get(ctx context.Context, client *http.Client, url string, n int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Traceparent", fmt.Sprintf("00-4bf92f3577b34da6a3ce929d0e0e4736-%016x-01", n))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, readErr := io.Copy(io.Discard, response.Body)
	return errors.Join(readErr, response.Body.Close())
}
