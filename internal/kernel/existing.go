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
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/monotime"
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
		c.iterateAll(ctx, bpf.SocketflowProgExistingDescriptors, uint32(bpf.SocketflowIterationITERATION_LISTENERS)),
		c.iterateAll(ctx, bpf.SocketflowProgExistingDescriptors, uint32(bpf.SocketflowIterationITERATION_CONNECTIONS)),
	)
	if err == nil {
		err = c.objects.Variables[bpf.SocketflowVarOlderUnixKnown].Set(monotime.Now())
	}
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
			if err := c.iterateAll(ctx, program, iteration); err != nil {
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
	coverage := Coverage{}
	if procfs.SeesAllProcesses() {
		coverage.Inhabited = map[uint32]bool{}
	}
	err := c.listNamespaces(ctx, &coverage)
	if err == nil {
		err = c.iterateAll(ctx, bpf.SocketflowProgExistingDescriptors, c.livePass)
	}
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

// listNamespaces is the first run of a live pass.
func (c *SocketTracer) listNamespaces(ctx context.Context, coverage *Coverage) error {
	if err := c.set(map[string]uint32{bpf.SocketflowVarLastInhabited: 0, bpf.SocketflowVarListsNamespaces: 1}); err != nil {
		return err
	}
	_, err := c.iterate(ctx, bpf.SocketflowProgExistingDescriptors, c.livePass, func(o *bpf.SocketflowIteratorOutput) {
		if o.Netns != 0 && coverage.Inhabited != nil {
			coverage.Inhabited[o.Netns] = true
		}
	})
	return errors.Join(err, c.set(map[string]uint32{bpf.SocketflowVarListsNamespaces: 0}))
}

func (c *SocketTracer) set(variables map[string]uint32) error {
	for name, value := range variables {
		if err := c.objects.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// maxRuns of an iterator are made until one of them finds nothing new.
const maxRuns = 16

// iterateAll runs an iterator program until it finds nothing new. Each time that read() returns, the kernel goes on later by counting
// the sockets of a bucket, so that it may pass over some while others come and go. A run that finds nothing does not return in between.
func (c *SocketTracer) iterateAll(ctx context.Context, program string, iteration uint32) error {
	for range maxRuns {
		found, err := c.iterate(ctx, program, iteration, noOutput)
		if err != nil || found == 0 {
			return err
		}
	}
	return fmt.Errorf("iterator %s found more sockets in each of %d runs", program, maxRuns)
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
) (outputs int, err error) {
	if err := c.set(map[string]uint32{bpf.SocketflowVarIterating: iteration}); err != nil {
		return 0, err
	}
	iter, err := link.AttachIter(link.IterOptions{Program: c.objects.Programs[program]})
	if err != nil {
		return 0, fmt.Errorf("attach iterator %s: %w", program, err)
	}
	defer iter.Close() //nolint:errcheck // nothing was written
	reader, err := iter.Open()
	if err != nil {
		return 0, fmt.Errorf("open iterator %s: %w", program, err)
	}
	defer reader.Close() //nolint:errcheck // nothing was written
	// The programs write one output, of 64 bytes, for each event of some 130 bytes at the most, so that a read returns when these have
	// filled a quarter of the smallest ring buffer, or after 64 of them.
	buffer := make([]byte, min(64*outputBytes, c.ringBytes/8))
	for {
		n, err := reader.Read(buffer)
		switch {
		case errors.Is(err, io.EOF):
			return outputs, nil
		case errors.Is(err, unix.EAGAIN): // a million objects, and nothing to write (bpf_seq_read in the kernel's kernel/bpf/bpf_iter.c)
			continue
		case err != nil:
			return outputs, fmt.Errorf("run iterator %s: %w", program, err)
		}
		outputs += n / outputBytes
		for written := buffer[:n]; len(written) >= outputBytes; written = written[outputBytes:] { // the kernel hands over whole ones
			take((*bpf.SocketflowIteratorOutput)(unsafe.Pointer(unsafe.SliceData(written))))
		}
		if err := c.waitForRoom(ctx); err != nil {
			return outputs, err
		}
	}
}

// outputBytes is the size of what an iterator program writes at a time.
const outputBytes = int(unsafe.Sizeof(bpf.SocketflowIteratorOutput{}))

func noOutput(*bpf.SocketflowIteratorOutput) {}

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
