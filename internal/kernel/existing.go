//go:build linux && (amd64 || arm64)

package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/procfs"
)

// Existing has an event written for every connection of a process that is older than the programs, in whatever network
// namespace. It returns when all are written, which takes until the readers have made room for them.
func (c *Capture) Existing(ctx context.Context) error {
	err := errors.Join(
		c.existingUnix(ctx), // of this network namespace, for a start
		c.iterate(ctx, bpf.SocketflowProgExistingListeners, nil),
		c.iterate(ctx, bpf.SocketflowProgExistingConnections, nil),
	)
	if err != nil {
		return fmt.Errorf("look for connections older than the collector: %w", err)
	}
	return nil
}

// ExistingUnowned does the same for the connections that no descriptor leads to: those that wait to be accepted, and
// those that their process has closed and that have not ended. It is to follow Existing. A network namespace that
// cannot be entered is in the error; the others have been looked at all the same.
func (c *Capture) ExistingUnowned(ctx context.Context) error {
	err := procfs.EachNetNS(func(uint32) error {
		return errors.Join(c.existingUnix(ctx), c.iterate(ctx, bpf.SocketflowProgExistingUnowned, nil))
	})
	if err != nil {
		return fmt.Errorf("look for connections older than the collector that no process holds: %w", err)
	}
	return nil
}

// existingUnix marks the sockets of the family AF_UNIX that are there, so that what they say is not taken for a beginning.
func (c *Capture) existingUnix(ctx context.Context) error {
	if c.objects.Programs[bpf.SocketflowProgExistingUnix] == nil {
		return nil
	}
	return c.iterate(ctx, bpf.SocketflowProgExistingUnix, nil)
}

// Datagrams has an event written for every UDP flow: that it has ended, or that it still exists.
func (c *Capture) Datagrams(ctx context.Context) error {
	if c.objects.Programs[bpf.SocketflowProgDatagramFlows] == nil {
		return nil
	}
	if err := c.iterate(ctx, bpf.SocketflowProgDatagramFlows, c.objects.Maps[bpf.SocketflowMapDatagrams]); err != nil {
		return fmt.Errorf("look for UDP flows that have ended: %w", err)
	}
	return nil
}

// Live has an event written for every tracked connection that still exists.
func (c *Capture) Live(ctx context.Context) error {
	if err := c.iterate(ctx, bpf.SocketflowProgLiveSockets, c.objects.Maps[bpf.SocketflowMapSockets]); err != nil {
		return fmt.Errorf("look for connections that still exist: %w", err)
	}
	return nil
}

// iterate runs an iterator program to its end, no faster than the ring buffers are read.
func (c *Capture) iterate(ctx context.Context, program string, over *ebpf.Map) error {
	iter, err := link.AttachIter(link.IterOptions{Program: c.objects.Programs[program], Map: over})
	if err != nil {
		return fmt.Errorf("attach iterator %s: %w", program, err)
	}
	defer iter.Close() //nolint:errcheck // nothing was written
	output, err := iter.Open()
	if err != nil {
		return fmt.Errorf("open iterator %s: %w", program, err)
	}
	defer output.Close() //nolint:errcheck // nothing was written
	// The programs write 64 bytes for each event, so that a read of one page returns after 64 of them at the latest.
	page := make([]byte, 4096)
	for {
		switch _, err := output.Read(page); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("run iterator %s: %w", program, err)
		}
		if err := c.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

// waitForRoom waits until every ring buffer is at most half full, looking again every few milliseconds: the readers
// have nobody to tell.
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
