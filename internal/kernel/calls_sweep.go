//go:build linux && (amd64 || arm64)

package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

// sweepBatch is how many entries of a map are read at a time.
const sweepBatch = 512

// Live has an event injected for every socket that a descriptor still leads to. A descriptor that is gone, though its
// close was not seen, is closed.
func (c *Calls) Live(ctx context.Context) error {
	now := monotonic()
	err := eachEntry(ctx, c.objects.Maps[bpf.SyscallsMapDescriptors], func(key bpf.SyscallsDescriptorKey, d bpf.SyscallsDescriptor) error {
		if bpf.SyscallsDescriptorKind(d.Kind) != bpf.SyscallsDescriptorKindDESCRIPTOR_SOCKET {
			return nil
		}
		if leadsToSocket(key.Pid, key.Fd) {
			c.inject(event.Event{Kind: event.KindLive, Time: now, Flow: event.Flow{Cookie: d.Id}})
			return nil
		}
		if err := c.run(bpf.SyscallsProgVanish, uint64(key.Pid), uint64(key.Fd)); err != nil {
			return fmt.Errorf("close descriptor %d of process %d: %w", key.Fd, key.Pid, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for sockets that still exist: %w", err)
	}
	return nil
}

// leadsToSocket says yes where it cannot know.
func leadsToSocket(pid, fd uint32) bool {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return false
	case err != nil:
		return true
	default:
		return strings.HasPrefix(target, "socket:")
	}
}

// Datagrams has an event injected for every UDP flow: that it has ended, or that it still exists.
func (c *Calls) Datagrams(ctx context.Context) error {
	if !c.opts.UDP {
		return nil
	}
	flows := c.objects.Maps[bpf.SyscallsMapDatagrams]
	err := eachEntry(ctx, flows, func(key bpf.SyscallsDatagramKey, d bpf.SyscallsDatagramFlow) error {
		now := monotonic()
		e := event.Event{
			Kind: event.KindLive, Time: now, Owner: process.ID{PID: d.OwnerPid, Start: d.OwnerStart / nanosecondsPerTick},
			Flow: callFlow(&d.Flow), Started: d.Started, Established: d.Started,
			Ending: event.Ending{
				BytesSent: d.Bytes[event.Sent], BytesReceived: d.Bytes[event.Received],
				SegmentsSent: d.Datagrams[event.Sent], SegmentsReceived: d.Datagrams[event.Received],
			},
		}
		if now-min(now, d.Last) >= uint64(c.opts.DatagramIdle) {
			if err := flows.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("end a UDP flow: %w", err)
			}
			e.Kind, e.Time = event.KindClose, d.Last
		}
		c.inject(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for UDP flows that have ended: %w", err)
	}
	return nil
}

func callFlow(raw *bpf.SyscallsFlow) event.Flow {
	return flow(&bpf.SocketflowFlow{
		Cookie: raw.Cookie, Local: raw.Local, Remote: raw.Remote, LocalPort: raw.LocalPort, RemotePort: raw.RemotePort,
		Family: raw.Family, Role: raw.Role, RoleSource: raw.RoleSource, Netns: raw.Netns, Transport: raw.Transport,
		Source: raw.Source,
	})
}

// eachEntry calls f for every entry of a map; those that are written meanwhile may be missing or come twice.
func eachEntry[K, V any](ctx context.Context, m *ebpf.Map, f func(K, V) error) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, sweepBatch), make([]V, sweepBatch)
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("read map %s: %w", m.String(), err)
		}
		for i := range n {
			if err := f(keys[i], values[i]); err != nil {
				return err
			}
		}
		if err != nil { // that was the last batch
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// monotonic is the clock of events.
func monotonic() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return uint64(time.Now().UnixNano()) // not reached: every Linux has this clock
	}
	return uint64(now.Nano())
}
