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

// namespace holds the questions that wait until the tables of one network namespace are read.
type namespace struct {
	asked map[uint64][]question // by socket inode
	timer *time.Timer           // of the next reading; nil: none is scheduled
	next  time.Time             // earliest time of the next reading
}

// take removes and returns all questions.
func (n *namespace) take() map[uint64][]question {
	asked := n.asked
	n.asked = nil
	return asked
}

// Ask looks up the socket that a descriptor refers to. The answer comes at once if it needs no table. Otherwise it comes when
// the tables of the process's network namespace have been read, once for all questions about that namespace.
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

// restFor bounds the share of time spent reading: the pause after a reading is restFor times its duration. For a reading the
// kernel walks a large hash table, which takes milliseconds with few sockets and much of a second with 100,000.
const restFor = 10

// schedule starts a timer for the next reading.
func (r *Resolver) schedule(netns uint32, n *namespace) {
	r.readers.Add(1)
	n.timer = time.AfterFunc(max(0, time.Until(n.next)), func() {
		defer r.readers.Done()
		r.answer(netns, n)
	})
}

// forgetIdle removes unused namespaces if there are too many: they come and go with containers.
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

// result is the result of a reading; err says why the sockets that are not in found are missing.
type result struct {
	found map[uint64]Socket
	err   error
}

// lookup reads the tables through one of the processes that are asked about. It tries several, because some may have ended.
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

// readTables reads the sockets of a network namespace through a process in it: from the kernel's own listing, or else from the tables of /proc.
func (r *Resolver) readTables(netns, pid uint32, wanted func(inode uint64) bool) (map[uint64]Socket, error) {
	if now, err := r.netNS(pid); err != nil {
		return nil, err
	} else if now != netns {
		return nil, fmt.Errorf("%w: process %d has entered another network namespace", ErrGone, pid)
	}
	if r.listsByDiag() {
		g := newReading(netns, wanted)
		if r.noticeDiag(r.diag(g, pid)) {
			r.stats.Listings.Add(1)
			return g.found, nil
		}
	}
	g := newReading(netns, wanted)
	r.stats.Readings.Add(1)
	if err := g.all(r.path(pid, "net")); err != nil {
		return nil, err
	}
	return g.found, nil
}

// reply answers the questions with the result of a reading.
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

// refuse answers questions with an error. The caller holds the lock.
func (r *Resolver) refuse(asked map[uint64][]question, err error) {
	for _, questions := range asked {
		for _, q := range questions {
			q.query.Answer(Socket{}, err)
		}
		r.questions -= len(questions)
	}
}
