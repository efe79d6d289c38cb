package procfs

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Descriptor is a file descriptor that refers to a socket.
type Descriptor struct {
	PID, FD uint32
	Socket  *Socket // shared by all descriptors of the socket; read only
}

// held is a descriptor and the inode of its socket.
type held struct {
	pid, fd uint32
	inode   uint64
}

// Scan calls f for every descriptor of every process that refers to a socket in the tables, other than those of process skip
// (0: none). It reads the tables of each network namespace once. If a process or a namespace cannot be read, Scan continues
// and returns an error at the end; a process that ends meanwhile is no error. If f returns an error, Scan stops and returns
// it unchanged. Scan also stops when ctx is done.
func (r *Resolver) Scan(ctx context.Context, skip uint32, f func(Descriptor) error) error {
	pids, err := processes(r.root)
	if err != nil {
		return err
	}
	byNetNS := make(map[uint32][]held)
	var hidden failures
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

// failures counts the processes and namespaces that could not be read.
type failures struct {
	times int
	first error
}

func (t *failures) add(err error) {
	if err == nil || errors.Is(err, ErrGone) {
		return
	}
	if t.times++; t.first == nil {
		t.first = err
	}
}

func (t *failures) err() error {
	if t.times == 0 {
		return nil
	}
	return fmt.Errorf("look for sockets: %d times not possible, the first: %w", t.times, t.first)
}

// holds adds the descriptors of a process that refer to sockets.
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
			continue // not a socket, or closed meanwhile
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

// listed looks up the sockets of descriptors in the tables of their network namespace.
func (r *Resolver) listed(netns uint32, descriptors []held) (map[uint64]*Socket, error) {
	wanted := make(map[uint64]*Socket, len(descriptors))
	for _, d := range descriptors {
		wanted[d.inode] = nil
	}
	isWanted := func(inode uint64) bool { _, ok := wanted[inode]; return ok }
	err := ErrGone
	var last uint32
	for _, d := range descriptors { // those of one process are adjacent
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
