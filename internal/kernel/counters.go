//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// Counters are the kernel programs' own, since they were loaded.
type Counters struct {
	Events           [event.Kinds]uint64 // written to a ring buffer, by kind
	RingFull         [event.Kinds]uint64 // lost: the ring buffer had no room, by kind
	StorageFailed    uint64              // sockets, and datagrams of flows, not tracked: no memory for their state
	ProcessMapFull   uint64              // descriptions repeated: the map of described processes is full
	AcceptUnknown    uint64              // accepts that could not be reported: the socket had no identity yet
	SelectionIgnored uint64              // connections left out by the selection rules
	PayloadRingFull  uint64              // calls reported without payload: the ring buffer had no room for it
	PayloadNoBuffer  uint64              // calls reported without payload: where it lies is not known
	PayloadFault     uint64              // calls reported with less payload: its memory could not be read
	TableFull        uint64              // syscall mode: too many descriptors to inherit, or to close with their process: Live does that
	DatagramBudget   uint64              // datagrams not reported: their flow had spent what it may before the first Want
	BatchRest        uint64              // datagrams not seen: too many in one sendmmsg or recvmmsg
	FlowReopened     uint64              // UDP flows that went on after they had to give way to others: a lower bound
	TLSUntied        uint64              // calls of TLS libraries without plaintext: their socket is not known
	TLSHeld          uint64              // calls of TLS libraries whose plaintext waited for its socket
	TLSFound         uint64              // of these, those whose socket came to be known
	TLSUnmatched     uint64              // calls of TLS libraries whose beginning and end do not match
	// Missed is an upper bound of how often the kernel skipped a program because another one ran on that CPU. What happened then
	// is not known. For a program with a backup the smaller of their two numbers counts, because both have to be skipped. A run that is made up for
	// does not count.
	Missed uint64
}

// madeUpFor are the programs of which a skipped run loses no event: they learn ends of connections in softirqs, too, while a program for a call may
// be running on that CPU; what one has not learned, another call or /proc shows.
var madeUpFor = map[string]bool{"tcp_state": true, "tcp_receive": true}

// mapCounters maps the memory in which the programs count.
func (c *programs) mapCounters(m *ebpf.Map) (err error) {
	if c.counterMemory, err = mapMemory(m); err != nil {
		return err
	}
	first := (*uint64)(unsafe.Pointer(unsafe.SliceData(c.counterMemory)))
	c.counters = unsafe.Slice(first, m.MaxEntries())
	return nil
}

// Counters reads them.
func (c *programs) Counters() (Counters, error) {
	var out Counters
	for i := range bpf.SocketflowCounterCOUNTERS {
		var sum uint64
		for cpu := c.counters; len(cpu) > 0; cpu = cpu[bpf.SocketflowCounterCOUNTERS_STRIDE:] {
			sum += atomic.LoadUint64(&cpu[i])
		}
		out.set(i, sum)
	}
	misses := map[string]uint64{}
	for name, program := range c.objects.Programs {
		stats, err := program.Stats()
		if err != nil {
			return Counters{}, fmt.Errorf("read the statistics of program %s: %w", name, err)
		}
		misses[name] = stats.RecursionMisses
	}
	for name, n := range misses {
		if strings.HasSuffix(name, backupSuffix) || madeUpFor[name] {
			continue // a backup is counted with its primary
		}
		if backup, ok := misses[name+backupSuffix]; ok {
			n = min(n, backup)
		}
		out.Missed += n
	}
	return out, nil
}

func (c *Counters) set(i bpf.SocketflowCounter, n uint64) {
	switch {
	case i < bpf.SocketflowCounterCOUNTER_RING_FULL:
		c.Events[kinds[i-bpf.SocketflowCounterCOUNTER_EVENTS]] += n
	case i < bpf.SocketflowCounterCOUNTER_STORAGE_FAILED:
		c.RingFull[kinds[i-bpf.SocketflowCounterCOUNTER_RING_FULL]] += n
	default:
		*c.single(i) = n
	}
}

// single is the member for a counter that does not belong to a kind of events.
func (c *Counters) single(i bpf.SocketflowCounter) *uint64 {
	return map[bpf.SocketflowCounter]*uint64{
		bpf.SocketflowCounterCOUNTER_STORAGE_FAILED:    &c.StorageFailed,
		bpf.SocketflowCounterCOUNTER_PROCESS_MAP_FULL:  &c.ProcessMapFull,
		bpf.SocketflowCounterCOUNTER_ACCEPT_UNKNOWN:    &c.AcceptUnknown,
		bpf.SocketflowCounterCOUNTER_IGNORED:           &c.SelectionIgnored,
		bpf.SocketflowCounterCOUNTER_PAYLOAD_RING_FULL: &c.PayloadRingFull,
		bpf.SocketflowCounterCOUNTER_PAYLOAD_NO_BUFFER: &c.PayloadNoBuffer,
		bpf.SocketflowCounterCOUNTER_PAYLOAD_FAULT:     &c.PayloadFault,
		bpf.SocketflowCounterCOUNTER_TABLE_FULL:        &c.TableFull,
		bpf.SocketflowCounterCOUNTER_DATAGRAM_BUDGET:   &c.DatagramBudget,
		bpf.SocketflowCounterCOUNTER_BATCH_REST:        &c.BatchRest,
		bpf.SocketflowCounterCOUNTER_FLOW_REOPENED:     &c.FlowReopened,
		bpf.SocketflowCounterCOUNTER_TLS_UNTIED:        &c.TLSUntied,
		bpf.SocketflowCounterCOUNTER_TLS_HELD:          &c.TLSHeld,
		bpf.SocketflowCounterCOUNTER_TLS_FOUND:         &c.TLSFound,
		bpf.SocketflowCounterCOUNTER_TLS_UNMATCHED:     &c.TLSUnmatched,
	}[i]
}
