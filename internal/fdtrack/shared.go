package fdtrack

import (
	"fmt"
	"time"

	"github.com/socketflow/socketflow/internal/pending"
)

// Limits bound what waits. A zero means the default.
type Limits struct {
	Timeout     time.Duration // how long events wait for an address, 1 s by default
	LookupAfter time.Duration // how long before procfs is asked, 20 ms by default; not below Timeout: it never is
	SocketItems int           // events of one socket that wait, 1024 by default
	SocketBytes int           // of their payload's memory, 1 MiB by default
	Items       int           // events that wait in all Trackers, 65536 by default
	Bytes       int           // of their payload's memory, 64 MiB by default
}

// OrDefault returns the limits with the defaults in place of zeros.
func (l Limits) OrDefault() Limits {
	return Limits{
		Timeout:     orDefault(l.Timeout, time.Second),
		LookupAfter: orDefault(l.LookupAfter, 20*time.Millisecond),
		SocketItems: orDefault(l.SocketItems, 1024),
		SocketBytes: orDefault(l.SocketBytes, 1<<20),
		Items:       orDefault(l.Items, 65536),
		Bytes:       orDefault(l.Bytes, 64<<20),
	}
}

func (l *Limits) check() error {
	if l.Timeout < 0 || l.LookupAfter < 0 || l.SocketItems < 0 || l.SocketBytes < 0 || l.Items < 0 || l.Bytes < 0 {
		return fmt.Errorf("fdtrack: limits must not be negative: %+v", *l)
	}
	return nil
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Shared is what the Trackers of one engine have in common: the limits of what waits in all of them, the sockets that pass from one process
// to another, and when processes have started. It is safe for concurrent use.
type Shared struct {
	limits      Limits
	budget      *pending.Budget
	inFlightFDs inFlightFDs
	inodes      inodes
	starts      starts
}

// NewShared checks the limits.
func NewShared(l Limits) (s *Shared, err error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	s = &Shared{limits: l.OrDefault()}
	if s.budget, err = pending.NewBudget(s.limits.Items, s.limits.Bytes); err != nil {
		return nil, err
	}
	s.inodes.known = make(map[inode]knownSocket)
	if err := s.starts.init(); err != nil {
		return nil, err
	}
	return s, s.inFlightFDs.init()
}
