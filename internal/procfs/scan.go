package procfs

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Descriptor is a descriptor of a process that leads to a socket.
type Descriptor struct {
	PID, FD uint32
	Socket  *Socket // shared by the descriptors of one socket; not to be changed
}

// held is a Descriptor of which only the inode is known.
type held struct {
	pid, fd uint32
	inode   uint64
}

// Scan calls f for every descriptor of every process but skip that leads to a socket that the tables list; skip 0 leaves out
// none. Each network namespace's tables are read once. A process or a namespace that cannot be looked into does not keep f
// from the others, and is in the error; those that end meanwhile are not. An error of f, which is returned as it
// is, ends the scan, and so does ctx.
func (r *Resolver) Scan(ctx context.Context, skip uint32, f func(Descriptor) error) error {
	pids, err := processes(r.root)
	if err != nil {
		return err
	}
	byNetNS := make(map[uint32][]held)
	var hidden trouble
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if pid != skip {
			hidden.add(r.holds(pid, byNetNS))
		}
	}
	for netns, descriptors := range byNetNS {
		found, err := r.listed(netns, descriptors)
		hidden.add(err)
		for _, d := range descriptors {
			s := found[d.inode]
			if s == nil {
				continue
			}
			if err := errors.Join(ctx.Err(), f(Descriptor{d.pid, d.fd, s})); err != nil {
				return err
			}
		}
	}
	return hidden.err()
}

// trouble counts what could not be looked into.
type trouble struct {
	times int
	first error
}

func (t *trouble) add(err error) {
	if err == nil || errors.Is(err, ErrGone) {
		return
	}
	if t.times++; t.first == nil {
		t.first = err
	}
}

func (t *trouble) err() error {
	if t.times == 0 {
		return nil
	}
	return fmt.Errorf("look for sockets: %d times not possible, the first: %w", t.times, t.first)
}

// holds adds the descriptors of a process that lead to sockets.
func (r *Resolver) holds(pid uint32, to map[uint32][]held) error {
	dir, err := os.Open(r.path(pid, "fd"))
	if err != nil {
		return fmt.Errorf("list the descriptors of process %d: %w", pid, gone(err))
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("list the descriptors of process %d: %w", pid, gone(err))
	}
	var netns uint32
	for _, fd := range numbers(names) {
		inode, err := socketInode(r.root, pid, fd)
		if err != nil {
			continue // no socket, or closed meanwhile
		}
		if netns == 0 { // most processes have no socket
			if netns, err = r.netNS(pid); err != nil {
				return fmt.Errorf("process %d: %w", pid, err)
			}
		}
		to[netns] = append(to[netns], held{pid, fd, inode})
	}
	return nil
}

// listed looks for the sockets of descriptors of one network namespace in its tables.
func (r *Resolver) listed(netns uint32, descriptors []held) (map[uint64]*Socket, error) {
	wanted := make(map[uint64]*Socket, len(descriptors))
	for _, d := range descriptors {
		wanted[d.inode] = nil
	}
	isWanted := func(inode uint64) bool { _, ok := wanted[inode]; return ok }
	err := ErrGone
	var last uint32
	for _, d := range descriptors { // of one process they are neighbours
		if d.pid == last {
			continue
		}
		last = d.pid
		var found map[uint64]Socket
		if found, err = r.readTables(netns, d.pid, isWanted); err == nil {
			for inode, s := range found {
				wanted[inode] = &s
			}
			return wanted, nil
		}
	}
	return nil, err
}
