package fdtrack

import "sync/atomic"

// Shared is what the Trackers of one capture have in common: the limits of what waits in all of them, and what is
// known of sockets that change hands. It is safe for concurrent use.
type Shared struct {
	limits  Limits
	items   atomic.Int64
	bytes   atomic.Int64
	flights flights
	inodes  inodes
}

// NewShared checks the limits.
func NewShared(l Limits) (*Shared, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	s := &Shared{limits: l.OrDefault()}
	s.inodes.known = make(map[inode]knownSocket)
	return s, s.flights.init()
}

// take reserves room for events that wait.
func (s *Shared) take(items, bytes int) bool {
	allItems, allBytes := s.items.Add(int64(items)), s.bytes.Add(int64(bytes))
	if allItems <= int64(s.limits.Items) && allBytes <= int64(s.limits.Bytes) {
		return true
	}
	s.giveBack(items, bytes)
	return false
}

func (s *Shared) giveBack(items, bytes int) {
	s.items.Add(int64(-items))
	s.bytes.Add(int64(-bytes))
}
