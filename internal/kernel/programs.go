//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/socketflow/socketflow/bpf"
)

// programs are loaded and attached kernel programs, of whichever mode, and the events they write.
type programs struct {
	objects  *ebpf.Collection
	rings    []*ebpf.Map
	policies *policies
	readers  []*Reader
	links    []link.Link
	attached []string
	degraded []error
}

// prepare fills the maps that the programs read.
func (c *programs) prepare(opts Options) error {
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
		reader, err := ringbuf.NewReader(ring)
		if err != nil {
			return fmt.Errorf("map ring buffer %d: %w", i, err)
		}
		c.readers = append(c.readers, &Reader{ring: reader})
	}
	if opts.Data {
		var err error
		if c.policies, err = mapPolicies(c.objects.Maps[bpf.SocketflowMapPolicies]); err != nil {
			return err
		}
	}
	return nil
}

// Readers are the ring buffers' readers, one per shard. Every event of a socket comes through the same one.
func (c *programs) Readers() []*Reader { return c.readers }

// Attached names the hooks that were attached.
func (c *programs) Attached() []string { return c.attached }

// Degraded says what this kernel lacks that the capture can do without, and what is lost with it.
func (c *programs) Degraded() []error { return c.degraded }

// Detach ends the writing of events; what has been written can still be read.
func (c *programs) Detach() error {
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.Close())
	}
	c.links = nil
	return errors.Join(errs...)
}

// Close releases everything. Readers must no longer be in use.
func (c *programs) Close() error {
	errs := []error{c.Detach()}
	for _, r := range c.readers {
		errs = append(errs, r.ring.Close())
	}
	if c.policies != nil {
		errs = append(errs, c.policies.close())
		c.policies = nil
	}
	for _, m := range c.rings {
		errs = append(errs, m.Close())
	}
	if c.objects != nil {
		c.objects.Close()
	}
	c.readers, c.rings, c.objects = nil, nil, nil
	return errors.Join(errs...)
}
