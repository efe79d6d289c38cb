//go:build linux && (amd64 || arm64)

package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/procfs"
)

// Existing has the programs report every connection of a process that is older than the programs, in whatever network
// namespace. It returns when all events are written. For that the readers have to make room for them.
func (c *SocketTracer) Existing(ctx context.Context) error {
	if c.objects.Programs[bpf.SocketflowProgExistingDescriptors] == nil {
		return nil // Degraded says so
	}
	c.iterators.Lock()
	defer c.iterators.Unlock()
	err := errors.Join(
		c.iterate(ctx, bpf.SocketflowProgExistingDescriptors, uint32(bpf.SocketflowIterationITERATION_LISTENERS), nothingSaid),
		c.iterate(ctx, bpf.SocketflowProgExistingDescriptors, uint32(bpf.SocketflowIterationITERATION_CONNECTIONS), nothingSaid),
	)
	if err != nil {
		return fmt.Errorf("look for connections older than the collector: %w", err)
	}
	return nil
}

// ExistingUnowned does the same for the connections that no descriptor leads to: those that wait to be accepted, and
// those that their process has closed and that have not ended. Call it after Existing, which finds out who listens where. The error
// names the network namespaces that could not be entered; the others have been searched all the same.
func (c *SocketTracer) ExistingUnowned(ctx context.Context) error {
	if c.objects.Programs[bpf.SocketflowProgExistingDescriptors] == nil {
		return nil
	}
	c.iterators.Lock()
	defer c.iterators.Unlock()
	if _, err := c.iterateNetNS(ctx, uint32(bpf.SocketflowIterationITERATION_CONNECTIONS)); err != nil {
		return fmt.Errorf("look for connections older than the collector that no process holds: %w", err)
	}
	return nil
}

// iterateNetNS runs the iterators over the sockets of each network namespace. It returns the inodes of these namespaces.
func (c *SocketTracer) iterateNetNS(ctx context.Context, iteration uint32) (map[uint32]bool, error) {
	walked := map[uint32]bool{}
	err := procfs.EachNetNS(func(netns uint32) error {
		for _, program := range []string{bpf.SocketflowProgExistingUnix, bpf.SocketflowProgExistingUnowned} {
			if c.objects.Programs[program] == nil {
				continue
			}
			if err := c.iterate(ctx, program, iteration, nothingSaid); err != nil {
				return err
			}
		}
		walked[netns] = true
		return nil
	})
	return walked, err
}

// Live has the programs report every tracked connection that still exists. It returns which connections it has looked at.
func (c *SocketTracer) Live(ctx context.Context) (Coverage, error) {
	if c.objects.Programs[bpf.SocketflowProgExistingDescriptors] == nil {
		return Coverage{}, nil
	}
	c.iterators.Lock()
	defer c.iterators.Unlock()
	c.livePass = max(c.livePass+1, uint32(bpf.SocketflowIterationITERATION_LIVE))
	if err := c.objects.Variables[bpf.SocketflowVarLastInhabited].Set(uint32(0)); err != nil {
		return Coverage{}, fmt.Errorf("set %s: %w", bpf.SocketflowVarLastInhabited, err)
	}
	coverage := Coverage{}
	if procfs.SeesAllProcesses() {
		coverage.Inhabited = map[uint32]bool{}
	}
	err := c.iterate(ctx, bpf.SocketflowProgExistingDescriptors, c.livePass, func(o *bpf.SocketflowIteratorOutput) {
		if o.Netns != 0 && coverage.Inhabited != nil {
			coverage.Inhabited[o.Netns] = true
		}
	})
	if err == nil {
		coverage.Walked, err = c.iterateNetNS(ctx, c.livePass)
	}
	if ctx.Err() != nil || len(coverage.Walked) == 0 { // that not all can be entered shows in Walked
		return Coverage{}, fmt.Errorf("look for connections that still exist: %w", errors.Join(ctx.Err(), err))
	}
	coverage.Within[event.TCP] = c.objects.Programs[bpf.SocketflowProgExistingUnowned] != nil
	coverage.Within[event.UnixStream] = c.objects.Programs[bpf.SocketflowProgExistingUnix] != nil
	// A TCP connection may go on without a descriptor. A Unix socket that has been used has one, or is in a message for the moment.
	coverage.Everywhere[event.UnixStream] = coverage.Inhabited != nil
	return coverage, nil
}

// Datagrams has the programs report for every UDP flow that it has ended, or that it still exists.
func (c *SocketTracer) Datagrams(ctx context.Context) (bool, error) {
	pass := c.objects.Programs[bpf.SocketflowProgFlowPass]
	if pass == nil {
		return false, nil
	}
	c.iterators.Lock()
	defer c.iterators.Unlock()
	c.flowPass = max(c.flowPass+1, 1)
	for {
		reported, err := pass.Run(&ebpf.RunOptions{Context: []uint64{uint64(c.flowPass)}})
		if err != nil {
			return false, fmt.Errorf("look for UDP flows that have ended: %w", err)
		}
		if reported == 0 {
			return true, nil
		}
		if err := c.waitForRoom(ctx); err != nil {
			return false, err
		}
	}
}

// iterate runs an iterator program to its end, no faster than the ring buffers are read.
func (c *SocketTracer) iterate(
	ctx context.Context, program string, iteration uint32, take func(*bpf.SocketflowIteratorOutput),
) error {
	if err := c.objects.Variables[bpf.SocketflowVarIterating].Set(iteration); err != nil {
		return fmt.Errorf("set %s: %w", bpf.SocketflowVarIterating, err)
	}
	iter, err := link.AttachIter(link.IterOptions{Program: c.objects.Programs[program]})
	if err != nil {
		return fmt.Errorf("attach iterator %s: %w", program, err)
	}
	defer iter.Close() //nolint:errcheck // nothing was written
	output, err := iter.Open()
	if err != nil {
		return fmt.Errorf("open iterator %s: %w", program, err)
	}
	defer output.Close() //nolint:errcheck // nothing was written
	// The programs write one output, of 64 bytes, for each event of some 130 bytes at the most, so that a read returns when these have
	// filled a quarter of the smallest ring buffer, or after 64 of them.
	buffer := make([]byte, min(64*outputBytes, c.ringBytes/8))
	for {
		n, err := output.Read(buffer)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("run iterator %s: %w", program, err)
		}
		for said := buffer[:n]; len(said) >= outputBytes; said = said[outputBytes:] { // the kernel hands over whole ones
			take((*bpf.SocketflowIteratorOutput)(unsafe.Pointer(unsafe.SliceData(said))))
		}
		if err := c.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

// outputBytes is the size of what an iterator program writes at a time.
const outputBytes = int(unsafe.Sizeof(bpf.SocketflowIteratorOutput{}))

func nothingSaid(*bpf.SocketflowIteratorOutput) {}

// waitForRoom waits until every ring buffer is at most half full. It polls every few milliseconds, because the readers do not
// signal that they have made room.
func (c *programs) waitForRoom(ctx context.Context) error {
	var ticks *time.Ticker
	for {
		var fill float64
		for _, r := range c.readers {
			fill = max(fill, r.Fill())
		}
		if fill <= 0.5 {
			return ctx.Err()
		}
		if ticks == nil {
			ticks = time.NewTicker(5 * time.Millisecond)
			defer ticks.Stop()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
	}
}
