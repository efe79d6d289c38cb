package metrics

import (
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/socket"
)

// HandOver gives the store what has been measured since the last time, at a time (Unix, ns), and forgets the series that have ended. eachOpen reports the
// connections that are open; nil: they are as before.
func (r *Recorder) HandOver(now int64, eachOpen func(report func(*socket.Connection) bool)) {
	if eachOpen != nil {
		r.clearLevels()
		eachOpen(func(c *socket.Connection) bool { return r.open(c, now) })
	}
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range r.owners {
		r.handOver(key.info, o, now)
		if len(o.tallies) == 0 && len(o.overflow) == 0 {
			delete(r.owners, key)
		}
	}
	r.latest.info, r.latest.owner = nil, nil
}

func (r *Recorder) clearLevels() {
	for _, o := range r.owners {
		for _, t := range o.tallies {
			t.level = 0
		}
		for _, t := range o.overflow {
			t.level = 0
		}
	}
}

func (r *Recorder) handOver(info *process.Info, o *owner, now int64) {
	for key, t := range o.tallies {
		if !t.handOver(r.store, info, now) {
			delete(o.tallies, key)
		}
	}
	for family, t := range o.overflow {
		if !t.handOver(r.store, info, now) {
			delete(o.overflow, family)
		}
	}
}

// handOver returns false if the tally is not to be used any more. A series that has ended with something still to come begins anew.
func (t *Tally) handOver(s *Store, info *process.Info, now int64) bool {
	if t.isEmpty() { // the process may have been described anew, and be another owner by now
		return !t.series.ended && (info == nil || t.series.resource.Info == info)
	}
	stays := true
	if ended := t.series; ended.ended {
		t.series, t.handedLevel = s.again(ended, now), 0
		if stays = t.series.Overflow == ended.Overflow; !stays {
			t.level = 0 // what is open is counted by the tally that takes its place
		}
	}
	t.series.merge(t, now)
	t.reset()
	return stays
}

// again is a series like one that has ended.
func (s *Store) again(ended *Series, now int64) *Series {
	info := ended.resource.Info
	if ended.Overflow {
		id := s.identityOf(info)
		return s.overflowOf(s.resources[id], info, id, ended.Family, now)
	}
	return s.seriesOf(info, ended.Family, []byte(ended.key), now, func() []Attribute { return ended.Attributes })
}

func (s *Series) merge(t *Tally, now int64) {
	for i := range s.Points {
		switch to, from := &s.Points[i], &t.points[i]; s.Family.Instruments[i].Kind {
		case Level:
			to.Count = 1
			to.Sum += float64(t.level - t.handedLevel)
			t.handedLevel = t.level
		case Ratio:
			to.Count += from.Count
			to.Sum += from.Sum
			to.Max += from.Max
		default:
			to.merge(from)
		}
	}
	s.exemplars.merge(&t.exemplars)
	s.touched, s.resource.touched = now, now
}
