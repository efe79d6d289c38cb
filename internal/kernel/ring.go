//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is the memory of a ring buffer (BPF_MAP_TYPE_RINGBUF). The kernel maps its data pages twice, one after the other, for readers that
// use records in place. Each mapping counts as resident memory of this process. Records are copied here, in two pieces where one wraps
// around, so that one mapping is enough.
//
// The positions count bytes and never wrap (kernel/bpf/ringbuf.c): the reader has everything below consumed, the programs have reserved
// everything below produced.
type ring struct {
	consumer, producer []byte // the mappings
	consumed, produced *uint64
	data               []byte // a power of two
}

// A record begins with its length, in whose upper bits the kernel says what state it is in (include/uapi/linux/bpf.h,
// BPF_RINGBUF_BUSY_BIT), and a page number. Records are aligned to recordAlignment.
const (
	recordBusy      = 1 << 31 // it is being written
	recordDiscarded = 1 << 30
	recordHeader    = 8
	recordAlignment = 8
)

// errRingCorrupt means that the positions and lengths in the ring buffer contradict each other. Reading cannot go on.
var errRingCorrupt = errors.New("the ring buffer is corrupt")

func mapRing(m *ebpf.Map) (r *ring, err error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	r = &ring{}
	if r.consumer, err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the position of the reader: %w", err)
	}
	// The producer's page comes right before the data. The kernel refuses to have either written to.
	if r.producer, err = unix.Mmap(m.FD(), int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, errors.Join(fmt.Errorf("map %d bytes of data: %w", size, err), r.close())
	}
	r.attach(page)
	return r, nil
}

// attach finds the positions and the data in the mappings.
func (r *ring) attach(page int) {
	r.consumed = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.consumer)))
	r.produced = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.producer)))
	r.data = r.producer[page:]
}

// waiting is how many bytes wait to be read, the headers of records and what is discarded included.
func (r *ring) waiting() uint64 { return atomic.LoadUint64(r.produced) - atomic.LoadUint64(r.consumed) }

// read appends the next record to buf[:0]. ok is false if there is none. It waits for one that is being written: programs are not
// interrupted for long between reserving and submitting.
func (r *ring) read(buf []byte) (record []byte, ok bool, err error) {
	at := atomic.LoadUint64(r.consumed)
	for {
		produced := atomic.LoadUint64(r.produced)
		if at == produced {
			return buf[:0], false, nil
		}
		// The kernel clears the busy bit when the data is in place; an atomic load orders the reads of the data behind it.
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at&r.mask()])))
		if head&recordBusy != 0 {
			continue
		}
		length := uint64(head &^ uint32(recordBusy|recordDiscarded))
		next := at + recordHeader + (length+recordAlignment-1)&^uint64(recordAlignment-1)
		if produced-at > uint64(len(r.data)) || next-at > produced-at {
			return buf[:0], false, errRingCorrupt
		}
		if head&recordDiscarded == 0 {
			record = r.copy(buf[:0], at+recordHeader, length)
			atomic.StoreUint64(r.consumed, next)
			return record, true, nil
		}
		at = next
		atomic.StoreUint64(r.consumed, at)
	}
}

func (r *ring) mask() uint64 { return uint64(len(r.data) - 1) }

// copy appends so many bytes of the data from a position on.
func (r *ring) copy(to []byte, from, length uint64) []byte {
	from &= r.mask()
	first := min(length, uint64(len(r.data))-from)
	to = append(to, r.data[from:from+first]...)
	return append(to, r.data[:length-first]...)
}

func (r *ring) close() error {
	r.consumed, r.produced, r.data = nil, nil, nil
	return errors.Join(unmapMemory(&r.consumer), unmapMemory(&r.producer))
}
