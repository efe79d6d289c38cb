package procfs

import (
	"errors"
	"fmt"
	"time"
)

// question is a Query and the process that it is about.
type question struct {
	query *Query
	pid   uint32
}

// namespace is what waits for the tables of one network namespace to be read.
type namespace struct {
	asked map[uint64][]question // by inode of the socket
	timer *time.Timer           // of the next reading; nil: none is due
	next  time.Time             // not before which the tables are read again
}

// take empties it.
func (n *namespace) take() map[uint64][]question {
	asked := n.asked
	n.asked = nil
	return asked
}

// Ask looks for the socket behind a descriptor. The answer comes at once where no table is needed for it, else when those of
// the process' network namespace have been read, together with all that are looked for in it.
func (r *Resolver) Ask(pid, fd uint32) *Query {
	q := NewQuery()
	inode, err := socketInode(r.root, pid, fd)
	if err != nil {
		q.Answer(Socket{}, err)
		return q
	}
	netns, err := r.netNS(pid)
	if err != nil {
		q.Answer(Socket{}, err)
		return q
	}
	if err := r.enqueue(netns, inode, question{q, pid}); err != nil {
		q.Answer(Socket{}, err)
	}
	return q
}

func (r *Resolver) enqueue(netns uint32, inode uint64, q question) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.questions >= maxQuestions {
		return ErrTooMany
	}
	r.questions++
	n := r.namespaces[netns]
	if n == nil {
		r.forgetIdle()
		n = &namespace{}
		r.namespaces[netns] = n
	}
	if n.asked == nil {
		n.asked = make(map[uint64][]question)
	}
	n.asked[inode] = append(n.asked[inode], q)
	if n.timer == nil {
		r.schedule(netns, n)
	}
	return nil
}

// restFor is how many times as long as a reading took there is none: the kernel looks through a large hash table for it, which
// takes milliseconds even if there are few sockets, and with 100,000 a good part of a second.
const restFor = 10

// schedule has the tables read as soon as the last reading allows.
func (r *Resolver) schedule(netns uint32, n *namespace) {
	r.readers.Add(1)
	n.timer = time.AfterFunc(max(0, time.Until(n.next)), func() {
		defer r.readers.Done()
		r.answer(netns, n)
	})
}

// forgetIdle makes room: namespaces come and go with containers.
func (r *Resolver) forgetIdle() {
	if len(r.namespaces) < maxNamespaces {
		return
	}
	for netns, n := range r.namespaces {
		if n.timer == nil && time.Now().After(n.next) {
			delete(r.namespaces, netns)
		}
	}
}

// answer reads the tables of a network namespace for the questions that wait for them.
func (r *Resolver) answer(netns uint32, n *namespace) {
	begin := time.Now()
	r.mu.Lock()
	asked := n.take()
	r.mu.Unlock()
	if len(asked) > 0 {
		r.reply(asked, r.lookup(netns, asked))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n.next, n.timer = time.Now().Add(max(r.interval, restFor*time.Since(begin))), nil
	if len(n.asked) > 0 && !r.closed {
		r.schedule(netns, n)
	}
}

// result is what a reading gave; err is why sockets that are not in found could not be found.
type result struct {
	found map[uint64]Socket
	err   error
}

// lookup reads the tables by way of any of the processes that are asked about, for some may have ended.
func (r *Resolver) lookup(netns uint32, asked map[uint64][]question) result {
	const tries = 16
	tried := make(map[uint32]bool, tries)
	err := ErrGone
	for _, questions := range asked {
		for _, q := range questions {
			if tried[q.pid] || len(tried) == tries {
				continue
			}
			tried[q.pid] = true
			var found map[uint64]Socket
			found, err = r.readTables(netns, q.pid, func(inode uint64) bool { return asked[inode] != nil })
			if err == nil {
				return result{found, ErrNotListed}
			}
		}
	}
	return result{err: fmt.Errorf("look for %d sockets: %w", len(asked), err)}
}

// readTables reads the tables of a network namespace by way of a process that is in it.
func (r *Resolver) readTables(netns, pid uint32, wanted func(inode uint64) bool) (map[uint64]Socket, error) {
	if now, err := r.netNS(pid); err != nil {
		return nil, err
	} else if now != netns {
		return nil, fmt.Errorf("%w: process %d has entered another network namespace", ErrGone, pid)
	}
	g := newReading(netns, &r.stats, wanted)
	if err := g.all(r.path(pid, "net")); err != nil {
		return nil, err
	}
	return g.found, nil
}

func (r *Resolver) reply(asked map[uint64][]question, in result) {
	answered := 0
	for inode, questions := range asked {
		s, ok := in.found[inode]
		err := in.err
		if ok {
			err = nil
		} else if errors.Is(err, ErrNotListed) {
			err = fmt.Errorf("socket %d: %w", inode, err)
		}
		for _, q := range questions {
			q.query.Answer(s, err)
		}
		answered += len(questions)
	}
	r.mu.Lock()
	r.questions -= answered
	r.mu.Unlock()
}

// refuse answers what has been taken out of a namespace; the resolver is locked.
func (r *Resolver) refuse(asked map[uint64][]question, err error) {
	for _, questions := range asked {
		for _, q := range questions {
			q.query.Answer(Socket{}, err)
		}
		r.questions -= len(questions)
	}
}
