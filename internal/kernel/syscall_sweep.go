//go:build linux && (amd64 || arm64)

package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// Live injects an event for every socket that a descriptor still leads to. A descriptor that is gone though its
// close was not seen is closed. Entries of other descriptors are deleted when their process has ended.
func (c *SyscallTracer) Live(ctx context.Context) (Coverage, error) {
	if c.objects.Programs[bpf.SyscallsProgLookUp] == nil || c.objects.Programs[bpf.SyscallsProgVanish] == nil {
		return Coverage{}, nil // Degraded says so
	}
	now := monotime.Now()
	gone := map[uint32]bool{} // processes
	err := eachKey(ctx, c.objects.Maps[bpf.SyscallsMapDescriptors], func(key bpf.SyscallsDescriptorKey) error {
		d, known, err := c.lookUp(key.Pid, key.Fd)
		switch {
		case err != nil:
			return fmt.Errorf("look up descriptor %d of process %d: %w", key.Fd, key.Pid, err)
		case !known: // closed meanwhile
			return nil
		case bpf.SyscallsDescriptorKind(d.Kind) != bpf.SyscallsDescriptorKindDESCRIPTOR_SOCKET:
			if _, looked := gone[key.Pid]; !looked {
				gone[key.Pid] = procfs.HasEnded(key.Pid)
			}
			if !gone[key.Pid] {
				return nil
			}
		case procfs.LeadsToSocket(key.Pid, key.Fd):
			c.inject(event.Event{Kind: event.KindLive, Time: now, Flow: event.Flow{Cookie: d.Id}})
			return nil
		}
		if err := c.notify(bpf.SyscallsProgVanish, nil, uint64(key.Pid), uint64(key.Fd), d.Id); err != nil {
			return fmt.Errorf("close descriptor %d of process %d: %w", key.Fd, key.Pid, err)
		}
		return nil
	})
	if err != nil {
		return Coverage{}, fmt.Errorf("look for sockets that still exist: %w", err)
	}
	coverage := Coverage{}
	coverage.Everywhere[event.TCP], coverage.Everywhere[event.UnixStream] = true, true
	return coverage, nil
}

// Datagrams injects an event for every UDP flow: that it has ended, or that it still exists.
func (c *SyscallTracer) Datagrams(ctx context.Context) (bool, error) {
	if c.objects.Programs[bpf.SyscallsProgAskDatagrams] == nil {
		return false, nil
	}
	err := eachKey(ctx, c.objects.Maps[bpf.SyscallsMapDatagrams], func(key bpf.SyscallsDatagramKey) error {
		d, state, err := c.datagrams(&key)
		if err != nil {
			return fmt.Errorf("look up a UDP flow: %w", err)
		}
		if state == bpf.SyscallsDatagramStateDATAGRAMS_UNKNOWN {
			return nil
		}
		e := event.Event{
			Kind: event.KindLive, Time: monotime.Now(), Owner: process.ID{PID: d.OwnerPid, Start: d.OwnerStart / nanosecondsPerTick},
			Flow: callFlow(&d.Flow), Started: d.Started, Established: d.Started,
			Ending: event.Ending{
				BytesSent: d.Bytes[event.Sent], BytesReceived: d.Bytes[event.Received],
				SegmentsSent: d.Datagrams[event.Sent], SegmentsReceived: d.Datagrams[event.Received],
			},
		}
		if state == bpf.SyscallsDatagramStateDATAGRAMS_ENDED {
			e.Kind, e.Time = event.KindClose, d.Last
		}
		c.inject(e)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for UDP flows that have ended: %w", err)
	}
	return true, nil
}

func callFlow(raw *bpf.SyscallsFlow) event.Flow {
	return flow(&bpf.SocketflowFlow{
		Cookie: raw.Cookie, Local: raw.Local, Remote: raw.Remote, LocalPort: raw.LocalPort, RemotePort: raw.RemotePort,
		Family: raw.Family, Role: raw.Role, RoleSource: raw.RoleSource, Netns: raw.Netns, Transport: raw.Transport,
		Source: raw.Source,
	})
}

// eachKey calls f, which may delete the key, for every key of a map. Those that come and go meanwhile may be missing or come twice.
// Reading keys alone hides no calls, see bpf/control.h.
func eachKey[K any](ctx context.Context, m *ebpf.Map, f func(K) error) error {
	var key, next K
	err := m.NextKey(nil, &key)
	// If the key before is gone, the kernel begins with the first one again. So the next is read before f may delete this one.
	for range 2 * m.MaxEntries() {
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the keys of %s: %w", m, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err = m.NextKey(key, &next)
		if err := f(key); err != nil {
			return err
		}
		key, next = next, key
	}
	return fmt.Errorf("read the keys of %s: %w", m, errKeysChange)
}

// errKeysChange says that keys come and go too fast for all to be seen.
var errKeysChange = errors.New("they change too fast for all to be seen")
