package fdtrack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// Scanner lists the descriptors that lead to sockets. *procfs.Resolver is one.
type Scanner interface {
	Process(pid uint32) (procfs.Process, error)
	Scan(ctx context.Context, skip uint32, f func(procfs.Descriptor) error) error
}

// maxInbox is how many messages wait for a tracker before Existing waits for it.
const maxInbox = 4096

// Existing makes the trackers, in turn, follow the sockets that are older than the kernel programs. It leaves out those of the process
// self; 0 leaves out none. Trackers have to be working meanwhile, because Existing waits for those that have much to do. A process
// that cannot be read is in the error and does not keep Existing from the others.
func Existing(ctx context.Context, scanner Scanner, trackers []*Tracker, self uint32) error {
	if len(trackers) == 0 {
		return errors.New("look for sockets older than the collector: nobody follows them")
	}
	x := existing{scanner: scanner, trackers: trackers, seen: map[descriptor]uint64{}}
	look := func(f func(procfs.Descriptor) error) error {
		if err := scanner.Scan(ctx, self, f); err != nil {
			return fmt.Errorf("look for sockets older than the collector: %w", err)
		}
		return nil
	}
	// What cannot be read now cannot be read later either: the second scan returns the error.
	_ = look(func(d procfs.Descriptor) error { x.see(&d); return ctx.Err() })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settling):
	}
	return look(func(d procfs.Descriptor) error { return x.add(ctx, &d) })
}

// settling is how long it may take from when a call makes a descriptor until the kernel side sees the call return. On a busy machine
// the thread may have to wait for a CPU in between.
const settling = 100 * time.Millisecond

type existing struct {
	scanner  Scanner
	trackers []*Tracker
	seen     map[descriptor]uint64 // inodes that the first scan found, without those known from a call
	next     int
	owner    process.ID
}

func (x *existing) see(d *procfs.Descriptor) {
	if !x.trackers[0].opts.Kernel.Known(d.PID, d.FD) {
		x.seen[descriptor{d.PID, d.FD}] = d.Socket.Inode
	}
}

func (x *existing) add(ctx context.Context, d *procfs.Descriptor) error {
	if inode, there := x.seen[descriptor{d.PID, d.FD}]; !there || inode != d.Socket.Inode ||
		x.trackers[0].opts.Kernel.Known(d.PID, d.FD) {
		return nil // it is not older
	}
	if d.Socket.State == procfs.StateSynSent {
		return nil // an event will report its outcome
	}
	if d.PID != x.owner.PID {
		p, err := x.scanner.Process(d.PID)
		if err != nil {
			return nil //nolint:nilerr // it has ended
		}
		x.owner = process.ID{PID: d.PID, Start: p.Start}
	}
	t := x.trackers[x.next%len(x.trackers)]
	if err := t.room(ctx); err != nil {
		return err
	}
	if !t.takeIn(d.Socket, x.owner, d.FD, 0, 0) {
		x.next++
	}
	return nil
}

// room waits until there is room in the inbox.
func (t *Tracker) room(ctx context.Context) error {
	if t.inbox.size() < maxInbox {
		return ctx.Err()
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for t.inbox.size() >= maxInbox {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return nil
}
