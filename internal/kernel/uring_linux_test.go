//go:build amd64 || arm64

package kernel

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring is as much of io_uring as a test needs (io_uring(7), include/uapi/linux/io_uring.h). It is for one thread.
type uring struct {
	t         *testing.T
	fd        int
	polled    bool // a thread of the kernel looks for what is submitted
	rings     []byte
	entries   []byte
	sq, cq    ringOffsets
	last      uint64                     // identity of the last request
	completed map[uint64]uringCompletion // which nobody has waited for
	held      []any                      // memory that requests refer to
}

type ringOffsets struct{ head, tail, mask, array uint32 }

type uringParams struct {
	_, _, flags, _, sqThreadIdle, _, _ uint32
	_                                  [3]uint32
	sq                                 struct {
		head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32
		_                                                           uint64
	}
	cq struct {
		head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32
		_                                                           uint64
	}
}

// uringRequest is an entry of the submission queue.
type uringRequest struct {
	opcode, flags uint8
	priority      uint16
	fd            int32
	offset        uint64
	address       uint64
	length        uint32
	opFlags       uint32
	identity      uint64
	buffer        uint16 // index of a registered one, or group to pick from
	_             uint16
	_             int32
	_             [2]uint64
}

type uringCompletion struct {
	identity uint64
	result   int32
	flags    uint32
}

// Operations.
const (
	opReadv          = 1
	opWritev         = 2
	opReadFixed      = 4
	opWriteFixed     = 5
	opSendmsg        = 9
	opRecvmsg        = 10
	opRead           = 22
	opWrite          = 23
	opSend           = 26
	opRecv           = 27
	opProvideBuffers = 31
	opSendZeroCopy   = 47
)

// Flags of requests, and of the priority of a receive.
const (
	requestFixedFile    = 1 << 0
	requestLink         = 1 << 2
	requestAsync        = 1 << 4
	requestSelectBuffer = 1 << 5
	priorityMultishot   = 1 << 1
)

const (
	setupPolled       = 1 << 1
	setupSingleIssuer = 1 << 12
	setupDeferred     = 1 << 13

	enterGetEvents = 1
	enterWakeUp    = 2

	completionNotice = 1 << 3 // of a zero-copy send, after its result

	registerBuffers = 0
	registerFiles   = 2

	offsetEntries = 0x10000000
	ringBytes     = 4096
	ringEntries   = 16
)

func newUring(t *testing.T, flags uint32) *uring {
	t.Helper()
	p := uringParams{flags: flags, sqThreadIdle: 20}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, pointer(&p), 0)
	if errno != 0 {
		t.Fatalf("io_uring_setup: %v", errno)
	}
	u := &uring{t: t, fd: int(fd), polled: flags&setupPolled != 0, completed: map[uint64]uringCompletion{}}
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

// request makes a request about memory in one part, or in as many as the operation takes.
func (u *uring) request(op uint8, fd int, parts ...[]byte) uringRequest {
	r := uringRequest{opcode: op, fd: int32(fd)}
	u.held = append(u.held, parts)
	switch op {
	case opReadv, opWritev, opReadvFixed, opWritevFixed:
		v := iovecs(parts...)
		u.held = append(u.held, v)
		r.address, r.length = uint64(pointer(&v[0])), uint32(len(v))
	case opSendmsg, opRecvmsg, opSendmsgZeroCopy:
		v, m := iovecs(parts...), new(unix.Msghdr)
		*m = message(v)
		u.held = append(u.held, v, m)
		r.address, r.length = uint64(pointer(m)), 1
	default:
		r.address, r.length = uint64(pointer(&parts[0][0])), uint32(len(parts[0]))
	}
	return r
}

// submit submits requests together, and returns their identities. They have been begun when it returns.
func (u *uring) submit(requests ...uringRequest) (identities []uint64) {
	u.t.Helper()
	tail := atomic.LoadUint32(u.word(u.sq.tail))
	for _, r := range requests {
		u.last++
		r.identity = u.last
		identities = append(identities, r.identity)
		slot := tail & *u.word(u.sq.mask)
		*(*uringRequest)(unsafe.Pointer(&u.entries[slot*uint32(unsafe.Sizeof(r))])) = r
		*u.word(u.sq.array + 4*slot) = slot
		tail++
	}
	atomic.StoreUint32(u.word(u.sq.tail), tail)
	if !u.polled {
		u.enter(uintptr(len(requests)), 0, 0)
		return identities
	}
	u.enter(0, 0, enterWakeUp)
	deadline := time.Now().Add(10 * time.Second)
	for atomic.LoadUint32(u.word(u.sq.head)) != tail {
		if time.Now().After(deadline) {
			u.t.Fatal("io_uring: the kernel's thread has not begun the requests")
		}
		runtime.Gosched()
	}
	return identities
}

// wait waits for the next result of a request.
func (u *uring) wait(identity uint64) uringCompletion {
	u.t.Helper()
	for {
		u.collect()
		if c, ok := u.completed[identity]; ok {
			delete(u.completed, identity)
			return c
		}
		u.enter(0, 1, enterGetEvents)
	}
}

// waitForAny waits for the next result of any request.
func (u *uring) waitForAny() uringCompletion {
	u.t.Helper()
	for {
		u.collect()
		for identity := range u.completed {
			return u.wait(identity)
		}
		u.enter(0, 1, enterGetEvents)
	}
}

// collect takes one result, if there is one.
func (u *uring) collect() {
	head := atomic.LoadUint32(u.word(u.cq.head))
	if head == atomic.LoadUint32(u.word(u.cq.tail)) {
		return
	}
	at := u.cq.array + (head&*u.word(u.cq.mask))*uint32(unsafe.Sizeof(uringCompletion{}))
	c := *(*uringCompletion)(unsafe.Pointer(&u.rings[at]))
	atomic.StoreUint32(u.word(u.cq.head), head+1)
	if c.flags&completionNotice == 0 {
		u.completed[c.identity] = c
	}
}

// begin submits a request. The returned function waits for its result, which is how many bytes it has transferred.
func (u *uring) begin(r uringRequest) (wait func(want int)) {
	u.t.Helper()
	identity := u.submit(r)[0]
	return func(want int) {
		u.t.Helper()
		if got := u.wait(identity).result; int(got) != want {
			u.t.Fatalf("io_uring: %d, want %d", got, want)
		}
	}
}

func (u *uring) do(want int, r uringRequest) {
	u.t.Helper()
	u.begin(r)(want)
}

func (u *uring) enter(submit, wait, flags uintptr) {
	u.t.Helper()
	for {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), submit, wait, flags, 0, 0)
		if errno == 0 {
			return
		}
		if errno != unix.EINTR || submit != 0 {
			u.t.Fatalf("io_uring_enter: %v", errno)
		}
	}
}

// register registers files or buffers.
func (u *uring) register(what, list uintptr, n int) {
	u.t.Helper()
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(u.fd), what, list, uintptr(n), 0, 0); errno != 0 {
		u.t.Fatalf("io_uring_register: %v", errno)
	}
}
