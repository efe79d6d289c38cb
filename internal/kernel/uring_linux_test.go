//go:build amd64 || arm64

package kernel

import (
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring is as much of io_uring as a test needs: one operation at a time (io_uring(7), include/uapi/linux/io_uring.h).
type uring struct {
	t       *testing.T
	fd      int
	rings   []byte
	entries []byte
	sq, cq  ringOffsets
}

type ringOffsets struct{ head, tail, mask, array uint32 }

type uringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32
		_                                                           uint64
	}
	cq struct {
		head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32
		_                                                           uint64
	}
}

type uringEntry struct {
	opcode, flags uint8
	_             uint16
	fd            int32
	_             uint64
	address       uint64
	length        uint32
	_             uint32
	userData      uint64
	_             [3]uint64
}

type uringCompletion struct {
	userData uint64
	result   int32
	_        uint32
}

const (
	opSend         = 26
	opRecv         = 27
	enterGetEvents = 1
	offsetEntries  = 0x10000000
	ringBytes      = 4096
)

func newUring(t *testing.T) *uring {
	t.Helper()
	var p uringParams
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		t.Fatalf("io_uring_setup: %v", errno)
	}
	u := &uring{t: t, fd: int(fd)}
	t.Cleanup(func() { must(t, unix.Close(u.fd)) })
	var err error
	u.rings, err = unix.Mmap(u.fd, 0, ringBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	u.entries, err = unix.Mmap(u.fd, offsetEntries, ringBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	u.sq = ringOffsets{p.sq.head, p.sq.tail, p.sq.ringMask, p.sq.array}
	u.cq = ringOffsets{p.cq.head, p.cq.tail, p.cq.ringMask, p.cq.cqes}
	return u
}

func (u *uring) word(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&u.rings[offset])) }

// begin submits an operation. The returned function waits for its end and checks how many bytes it has transferred.
func (u *uring) begin(op uint8, fd int, b []byte) (wait func(want int)) {
	u.t.Helper()
	tail := atomic.LoadUint32(u.word(u.sq.tail))
	slot := tail & *u.word(u.sq.mask)
	entry := (*uringEntry)(unsafe.Pointer(&u.entries[slot*uint32(unsafe.Sizeof(uringEntry{}))]))
	*entry = uringEntry{opcode: op, fd: int32(fd), address: uint64(uintptr(unsafe.Pointer(&b[0]))), length: uint32(len(b))}
	*u.word(u.sq.array + 4*slot) = slot
	atomic.StoreUint32(u.word(u.sq.tail), tail+1)
	u.enter(1, 0, 0)
	return func(want int) {
		u.t.Helper()
		u.enter(0, 1, enterGetEvents)
		head := atomic.LoadUint32(u.word(u.cq.head))
		if head == atomic.LoadUint32(u.word(u.cq.tail)) {
			u.t.Fatal("io_uring: nothing was completed")
		}
		at := u.cq.array + (head&*u.word(u.cq.mask))*uint32(unsafe.Sizeof(uringCompletion{}))
		completion := (*uringCompletion)(unsafe.Pointer(&u.rings[at]))
		if int(completion.result) != want {
			u.t.Fatalf("io_uring: %d, want %d", completion.result, want)
		}
		atomic.StoreUint32(u.word(u.cq.head), head+1)
		runtime.KeepAlive(b)
	}
}

func (u *uring) do(op uint8, fd int, b []byte, want int) {
	u.t.Helper()
	u.begin(op, fd, b)(want)
}

func (u *uring) enter(submit, wait, flags uintptr) {
	u.t.Helper()
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), submit, wait, flags, 0, 0); errno != 0 {
		u.t.Fatalf("io_uring_enter: %v", errno)
	}
}
