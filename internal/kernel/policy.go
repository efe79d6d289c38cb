//go:build linux && (amd64 || arm64)

package kernel

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// maxSlots bounds the memory of policies: 72 bytes each.
const maxSlots = 16384

// slots is how many policies there is room for. Sockets whose cookies pick the same slot take it from each other. A socket
// keeps what it has read of its policy. If the kernel goes on to report what is not wanted, user space calls Want again.
func slots(opts Options) uint32 {
	if !opts.payload() {
		return 1
	}
	return powerOfTwo(min(opts.Sockets, maxSlots))
}

// powerOfTwo is the first one that is not less than n.
func powerOfTwo(n int) uint32 { return uint32(1) << bits.Len32(uint32(max(1, n))-1) }

// slotOf picks the slot of a cookie among n, a power of two, as policy_of in bpf/capture.h does.
func slotOf(cookie uint64, n int) int {
	return int(uint32(cookie*0x9e3779b97f4a7c15>>40) & uint32(n-1))
}

// policies say how much of each socket's data is wanted. The memory is shared with the kernel programs: a change costs no
// system call.
type policies struct {
	memory []byte
	slots  []bpf.SocketflowPolicy
}

func mapPolicies(m *ebpf.Map) (*policies, error) {
	memory, err := mapMemory(m)
	if err != nil {
		return nil, err
	}
	first := (*bpf.SocketflowPolicy)(unsafe.Pointer(unsafe.SliceData(memory)))
	return &policies{memory: memory, slots: unsafe.Slice(first, m.MaxEntries())}, nil
}

func (p *policies) close() error {
	p.slots = nil
	return unmapMemory(&p.memory)
}

// Want sets how much of a socket's data the kernel reports. Of a UDP flow, Until says only whether anything is wanted at all: Never or
// not; Limit is the bytes of one datagram, and Burst has no meaning. Only the goroutine that reads the socket's shard may call it: no other
// writes the slots of its cookies.
func (c *programs) Want(cookie uint64, w event.Want) {
	if c.policies == nil {
		return
	}
	slot := &c.policies.slots[slotOf(cookie, len(c.policies.slots))]
	// The slot belongs to no socket while it changes, because a program on another CPU may be reading it.
	if slot.Cookie != cookie {
		atomic.StoreUint64(&slot.Cookie, 0)
	}
	for d := range event.Directions {
		atomic.StoreUint64(&slot.Until[d], w.Until[d])
		atomic.StoreUint32(&slot.Limit[d], w.Limit[d])
	}
	atomic.StoreUint32(&slot.Burst, w.Burst)
	atomic.StoreUint32(&slot.Describe, number(w.Describe))
	for d := range event.Directions {
		form := packForm(&w.Form[d])
		if slot.Form[d] != form { // no program takes the old position for one of the new form
			atomic.StoreUint64(&slot.Next[d], event.FrameUnknown)
			atomic.StoreUint64(&slot.Form[d], form)
		}
		atomic.StoreUint64(&slot.Next[d], w.Next[d])
	}
	atomic.StoreUint64(&slot.Cookie, cookie)
}
