//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/bpf"
)

// programs are loaded and attached kernel programs, of whichever mode, and the events they write.
type programs struct {
	objects       *ebpf.Collection
	rings         []*ebpf.Map
	ringBytes     int // the size of each
	policies      *policies
	counters      []uint64 // of each CPU, COUNTERS_STRIDE after those of the one before
	counterMemory []byte
	readers       []*Reader
	hooks         []attachedHook // in the order in which they were attached
	links         []link.Link    // of these hooks
	status        []ProgramStatus
	degraded      []error
	self          uint32       // pid of this process, if it is left out
	libraryHook   string       // how the program is attached to libraries
	probes        atomic.Int64 // at libraries that are attached to one by one
}

// prepare fills the maps that the programs read.
func (c *programs) prepare(opts Options) error {
	c.ringBytes = opts.RingBytes
	for i := range uint32(opts.Shards) {
		ring, err := ebpf.NewMap(&ebpf.MapSpec{
			Name: "sf_ring", Type: ebpf.RingBuf, MaxEntries: uint32(opts.RingBytes),
		})
		if err != nil {
			return fmt.Errorf("create a ring buffer of %d bytes: %w", opts.RingBytes, err)
		}
		c.rings = append(c.rings, ring)
		if err := c.objects.Maps[bpf.SocketflowMapRings].Put(i, ring); err != nil {
			return fmt.Errorf("install ring buffer %d: %w", i, err)
		}
		reader, err := newReader(ring)
		if err != nil {
			return fmt.Errorf("map ring buffer %d: %w", i, err)
		}
		c.readers = append(c.readers, reader)
	}
	if err := c.mapCounters(c.objects.Maps[bpf.SocketflowMapCounters]); err != nil {
		return err
	}
	if opts.payload() {
		var err error
		if c.policies, err = mapPolicies(c.objects.Maps[bpf.SocketflowMapPolicies]); err != nil {
			return err
		}
	}
	return nil
}

// Readers are the ring buffers' readers, one per shard. Every event of a socket comes through the same one.
func (c *programs) Readers() []*Reader { return c.readers }

// Memory is how many bytes the kernel holds for the programs, their maps and their ring buffers, by its own accounts.
func (c *programs) Memory() (total uint64, err error) {
	add := func(name string, memory func() (uint64, bool, error)) {
		bytes, known, infoErr := memory()
		if infoErr != nil {
			err = errors.Join(err, fmt.Errorf("ask the kernel for the size of %s: %w", name, infoErr))
		} else if known {
			total += bytes
		}
	}
	ofMap := func(m *ebpf.Map) func() (uint64, bool, error) {
		return func() (uint64, bool, error) {
			info, err := m.Info()
			if err != nil {
				return 0, false, err
			}
			bytes, known := info.Memlock()
			return bytes, known, nil
		}
	}
	for name, m := range c.objects.Maps {
		add("map "+name, ofMap(m))
	}
	for _, ring := range c.rings {
		add("a ring buffer", ofMap(ring))
	}
	for name, program := range c.objects.Programs {
		add("program "+name, func() (uint64, bool, error) {
			info, err := program.Info()
			if err != nil {
				return 0, false, err
			}
			bytes, known := info.Memlock()
			return bytes, known, nil
		})
	}
	return total, err
}

// Detach detaches the programs, so that no more events are written. Those that have been written can still be read.
func (c *programs) Detach() error {
	links := c.links
	c.links = nil
	return detach(links)
}

// Close releases everything. Readers must no longer be in use.
func (c *programs) Close() error {
	errs := []error{c.Detach()}
	for _, r := range c.readers {
		errs = append(errs, r.close())
	}
	if c.policies != nil {
		errs = append(errs, c.policies.close())
		c.policies = nil
	}
	c.counters = nil
	errs = append(errs, unmapMemory(&c.counterMemory))
	for _, m := range c.rings {
		errs = append(errs, m.Close())
	}
	if c.objects != nil {
		c.objects.Close()
	}
	c.readers, c.rings, c.objects = nil, nil, nil
	return errors.Join(errs...)
}
