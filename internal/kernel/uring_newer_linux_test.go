//go:build amd64 || arm64

package kernel

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// Operations and flags that not all kernels have on which what io_uring transfers is read.
const (
	opSendmsgZeroCopy = 48
	opReadMultishot   = 49
	opReadvFixed      = 60
	opWritevFixed     = 61

	priorityFixedBuffer = 1 << 2
	priorityBundle      = 1 << 4
	priorityVector      = 1 << 5

	registerBufferRing = 22

	sizeofReceivedMessage = 16 // struct io_uring_recvmsg_out, which is ahead of a message

	bufferRingByParts = 1 << 1 // of a buffer only as much is used up as there is to receive
)

// linux is a version.
type linux struct{ major, minor int }

// isRunning says whether this kernel has what came with a version.
func (l linux) isRunning(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	must(t, unix.Uname(&name))
	var here linux
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &here.major, &here.minor); err != nil {
		t.Fatal(err)
	}
	return here.major > l.major || here.major == l.major && here.minor >= l.minor
}

// newerWay is an operation that a version of Linux has brought.
type newerWay struct {
	since   linux
	certain bool // else its bytes are counted
	extra   int  // bytes of its result that are not from the socket
	request func(u *uring, fd int) uringRequest
}

var newerSends, newerReceives = map[string]newerWay{
	"sendmsg_zc": {linux{6, 1}, true, 0, func(u *uring, fd int) uringRequest {
		return u.request(opSendmsgZeroCopy, fd, uringParts()...)
	}},
	"sendmsg_zc of one": {linux{6, 1}, true, 0, func(u *uring, fd int) uringRequest {
		return u.request(opSendmsgZeroCopy, fd, []byte(uringText))
	}},
	"send_zc from a registered buffer": {linux{6, 0}, true, 0, func(u *uring, fd int) uringRequest {
		return u.request(opSendZeroCopy, fd, append(u.registered()[:0], uringText...)).with(priorityFixedBuffer)
	}},
	"sendmsg_zc from registered buffers": {linux{6, 15}, false, 0, func(u *uring, fd int) uringRequest {
		return u.request(opSendmsgZeroCopy, fd, u.registeredLetters()...).with(priorityFixedBuffer)
	}},
	"writev_fixed": {linux{6, 15}, false, 0, func(u *uring, fd int) uringRequest {
		return u.request(opWritevFixed, fd, u.registeredLetters()...)
	}},
	"send of a vector": {linux{6, 17}, true, 0, func(u *uring, fd int) uringRequest {
		return u.request(opWritev, fd, uringParts()...).as(opSend).with(priorityVector)
	}},
	"send_zc of a vector": {linux{6, 17}, true, 0, func(u *uring, fd int) uringRequest {
		return u.request(opWritev, fd, uringParts()...).as(opSendZeroCopy).with(priorityVector)
	}},
	"send that picks": {linux{6, 10}, true, 0, func(u *uring, fd int) uringRequest {
		return u.fromRing(uringRequest{opcode: opSend, fd: int32(fd)}, 0, []byte(uringText))
	}},
	"send of a bundle": {linux{6, 10}, true, 0, func(u *uring, fd int) uringRequest {
		return u.fromRing(uringRequest{opcode: opSend, fd: int32(fd)}, 0, []byte("what "), []byte("is sent")).with(priorityBundle)
	}},
}, map[string]newerWay{
	"multishot read": {linux{6, 7}, true, 0, func(u *uring, fd int) uringRequest {
		return u.fromRing(uringRequest{opcode: opReadMultishot, fd: int32(fd)}, 0, make([]byte, 100))
	}},
	"multishot recvmsg": {linux{6, 0}, true, sizeofReceivedMessage, func(u *uring, fd int) uringRequest {
		return u.fromRing(u.request(opRecvmsg, fd, nil), 0, make([]byte, 100)).with(priorityMultishot)
	}},
	"recv of a bundle": {linux{6, 10}, true, 0, func(u *uring, fd int) uringRequest {
		return u.fromRing(uringRequest{opcode: opRecv, fd: int32(fd)}, 0, make([]byte, 8), make([]byte, 8)).with(priorityBundle)
	}},
	"readv_fixed": {linux{6, 15}, false, 0, func(u *uring, fd int) uringRequest {
		b := u.registered()
		return u.request(opReadvFixed, fd, b[:3], b[3:100])
	}},
}

func (r uringRequest) with(priority uint16) uringRequest {
	r.priority |= priority
	return r
}

func (r uringRequest) as(op uint8) uringRequest {
	r.opcode = op
	return r
}

// registeredLetters are in a registered buffer: uringText, in pieces of a byte. So their number is that of the bytes.
func (u *uring) registeredLetters() (letters [][]byte) {
	u.t.Helper()
	b := u.registered()
	for i := range copy(b, uringText) {
		letters = append(letters, b[i:i+1])
	}
	return letters
}

// fromRing has a request take its buffers from a ring of them (io_uring_register_buf_ring(3)), which has up to four, in this order.
func (u *uring) fromRing(r uringRequest, flags uint16, buffers ...[]byte) uringRequest {
	u.t.Helper()
	type buffer struct {
		address      uint64
		length       uint32
		number, tail uint16 // tail: of the ring, in the first one
	}
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	must(u.t, err)
	ring := (*[4]buffer)(unsafe.Pointer(&page[0]))
	for i, b := range buffers {
		ring[i] = buffer{address: uint64(pointer(&b[0])), length: uint32(len(b)), number: uint16(i)}
	}
	ring[0].tail = uint16(len(buffers))
	registration := struct {
		address      uint64
		entries      uint32
		group, flags uint16
		_            [3]uint64
	}{address: uint64(pointer(&page[0])), entries: uint32(len(ring)), group: uringGroup, flags: flags}
	u.register(registerBufferRing, pointer(&registration), 1)
	u.held = append(u.held, buffers)
	r.flags |= requestSelectBuffer
	r.buffer = uringGroup
	return r
}

// TestDataOfNewerRequestsOfIOUring is about operations that not all kernels have: the events have the bytes that were transferred, or count them.
func TestDataOfNewerRequestsOfIOUring(t *testing.T) {
	readable := uringTransfer(t)("x") == whole("x")
	tracer := openForTest(t)
	t.Run("in every way", func(t *testing.T) { newerRequests(t, tracer, readable) })
	t.Run("multishots", func(t *testing.T) { multishots(t, tracer, readable) })
	t.Run("sends that go on", func(t *testing.T) { sendsThatGoOn(t, tracer) })
}

func newerRequests(t *testing.T, tracer *SocketTracer, readable bool) {
	for how, setup := range uringSetups {
		play := func(name string, way newerWay, sends bool, do func(w *wire, u *uring)) {
			if !way.since.isRunning(t) {
				t.Logf("this kernel has no %s", name)
				return
			}
			if strings.Contains(name, "bundle") && setup.request&requestAsync != 0 {
				return // a worker sends none, and receives but one buffer of it on 6.12
			}
			t.Run(name+" "+how, func(t *testing.T) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				w := newWire(t, tracer)
				do(w, uringOf(w, setup.ring, setup.request))
				w.listen()
				w.expectPartsOf(uringText, atClient, event.Sent, readable && (way.certain || !sends))
				w.expectPartsOf(uringText, atServer, event.Received, readable && (way.certain || sends))
			})
		}
		for name, way := range newerSends {
			play(name, way, true, func(w *wire, u *uring) {
				u.do(len(uringText), u.of(w, setup.request, way.request(u, w.client)))
				u.do(len(uringText), u.of(w, setup.request, u.request(opRecv, w.server, make([]byte, 100))))
			})
		}
		for name, way := range newerReceives {
			play(name, way, false, func(w *wire, u *uring) {
				u.do(len(uringText), u.of(w, setup.request, u.request(opSend, w.client, []byte(uringText))))
				u.do(len(uringText)+way.extra, u.of(w, setup.request, way.request(u, w.server)))
			})
			play(name+" that waits", way, false, func(w *wire, u *uring) {
				received := u.begin(u.of(w, setup.request, way.request(u, w.server)))
				u.do(len(uringText), u.of(w, setup.request, u.request(opSend, w.client, []byte(uringText))))
				received(len(uringText) + way.extra)
			})
		}
	}
}

// multishots have one request receive several times.
func multishots(t *testing.T, tracer *SocketTracer, readable bool) {
	parts := []string{"one", "two and", "three of", "four"}
	hundreds := [][]byte{make([]byte, 100), make([]byte, 100), make([]byte, 100), make([]byte, 100)}
	for name, way := range map[string]newerWay{
		"read": {linux{6, 7}, true, 0, func(u *uring, fd int) uringRequest {
			return u.fromRing(uringRequest{opcode: opReadMultishot, fd: int32(fd)}, 0, hundreds...)
		}},
		"recvmsg": {linux{6, 0}, true, sizeofReceivedMessage, func(u *uring, fd int) uringRequest {
			return u.fromRing(u.request(opRecvmsg, fd, nil), 0, hundreds...).with(priorityMultishot)
		}},
		"recv of bundles": {linux{6, 10}, true, 0, func(u *uring, fd int) uringRequest {
			return u.fromRing(uringRequest{opcode: opRecv, fd: int32(fd)}, 0, hundreds...).with(priorityMultishot | priorityBundle)
		}},
		"recv that uses up a buffer by parts": {linux{6, 12}, true, 0, func(u *uring, fd int) uringRequest {
			return u.fromRing(uringRequest{opcode: opRecv, fd: int32(fd)}, bufferRingByParts, make([]byte, 4096)).with(priorityMultishot)
		}},
	} {
		if !way.since.isRunning(t) {
			t.Logf("this kernel has no %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w := newWire(t, tracer)
			u := newUring(t, 0)
			identity := u.submit(way.request(u, w.server))[0]
			for _, p := range parts {
				w.send([]byte(p))
				w.did(int(u.wait(identity).result), len(p)+way.extra, nil)
			}
			w.listen()
			w.expectPartsOf(strings.Join(parts, ""), atServer, event.Received, readable && way.certain)
		})
	}
}

// sendsThatGoOn are requests that send more than the socket takes at once. Each event has the bytes at its position, or none.
func sendsThatGoOn(t *testing.T, tracer *SocketTracer) {
	text := letters(60_000)
	pieces := [][]byte{text[:7], text[7:30_000], text[30_000:]}
	for name, way := range map[string]newerWay{
		"send":       {request: func(u *uring, fd int) uringRequest { return u.request(opSend, fd, text) }},
		"sendmsg":    {request: func(u *uring, fd int) uringRequest { return u.request(opSendmsg, fd, pieces...) }},
		"send_zc":    {since: linux{6, 0}, request: func(u *uring, fd int) uringRequest { return u.request(opSendZeroCopy, fd, text) }},
		"sendmsg_zc": {since: linux{6, 1}, request: func(u *uring, fd int) uringRequest { return u.request(opSendmsgZeroCopy, fd, pieces...) }},
		"send_zc from a registered buffer": {since: linux{6, 0}, request: func(u *uring, fd int) uringRequest {
			u.register(registerBuffers, pointer(&iovecs(text)[0]), 1)
			return u.request(opSendZeroCopy, fd, text).with(priorityFixedBuffer)
		}},
		"send of a bundle": {since: linux{6, 10}, request: func(u *uring, fd int) uringRequest {
			return u.fromRing(uringRequest{opcode: opSend, fd: int32(fd)}, 0, pieces...).with(priorityBundle)
		}},
		"send of a vector": {since: linux{6, 17}, request: func(u *uring, fd int) uringRequest {
			return u.request(opWritev, fd, pieces...).as(opSend).with(priorityVector)
		}},
	} {
		if !way.since.isRunning(t) {
			t.Logf("this kernel has no %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w := newWire(t, tracer)
			must(t, unix.SetsockoptInt(w.client, unix.SOL_SOCKET, unix.SO_SNDBUF, 1))
			u := newUring(t, 0)
			r := way.request(u, w.client)
			r.opFlags = unix.MSG_WAITALL
			sent := u.begin(r)
			read := make(chan error)
			go func() {
				b := make([]byte, 3000)
				for got := 0; got < len(text); {
					n, err := unix.Read(w.server, b)
					if err != nil || n == 0 {
						read <- fmt.Errorf("%d of %d bytes: %w", got, len(text), err)
						return
					}
					got += n
				}
				read <- nil
			}()
			sent(len(text))
			must(t, <-read)
			w.listen()
			at := 0
			for _, d := range w.emitted[atClient][event.Sent] {
				if !strings.HasPrefix(string(text[at:]), string(d.Payload)) {
					t.Errorf("at %d: %d bytes are not those that were sent", at, len(d.Payload))
				}
				at += int(d.Length)
			}
			if at != len(text) {
				t.Errorf("%d bytes, want %d", at, len(text))
			}
		})
	}
}
