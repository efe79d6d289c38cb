package metrics

import "slices"

// Emission is what is emitted of a resource at a time.
type Emission struct {
	Resource *Resource
	Series   *Series
	Start    int64 // Unix time, ns: since when the points count
	Ended    bool  // the series ends: its points are those that have been emitted before
}

// Collect calls emit for every series that has something to emit at a time (Unix, ns), those of a resource one after the other. What emit is given is
// valid during the call only. It is for one goroutine at a time.
func (s *Store) Collect(now int64, emit func(*Emission)) {
	s.mu.Lock()
	all := slices.Clone(s.order)
	s.mu.Unlock()
	for _, r := range all {
		s.collect(r, now, s.isGone(r, now), emit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = now
	s.order = slices.DeleteFunc(s.order, func(r *Resource) bool { return r != s.host && s.resources[r.identity] != r })
}

// isGone reports whether the process of a resource has ended, and nothing has been measured of it for long.
func (s *Store) isGone(r *Resource, now int64) bool {
	s.mu.Lock()
	idle, id := now-r.touched >= int64(s.options.StaleAfter), r.identity.ID
	s.mu.Unlock()
	return r != s.host && idle && !s.options.Alive(id)
}

func (s *Store) collect(r *Resource, now int64, gone bool, emit func(*Emission)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone = gone && now-r.touched >= int64(s.options.StaleAfter) // nothing has come meanwhile
	for key, of := range r.series {
		if s.emit(r, of, now, gone, emit) {
			delete(r.series, key)
			r.own--
			s.used--
		}
	}
	for family, of := range r.overflow {
		if s.emit(r, of, now, gone, emit) {
			delete(r.overflow, family)
			s.overflows--
		}
	}
	if r != s.host && len(r.series) == 0 && len(r.overflow) == 0 {
		delete(s.resources, r.identity)
	}
}

// emit emits a series, and reports whether it has ended.
func (s *Store) emit(r *Resource, of *Series, now int64, gone bool, emit func(*Emission)) (ended bool) {
	idle := now-of.touched >= int64(s.options.StaleAfter)
	ended = r != s.host && (gone || idle && (s.isScarce() || r.identity.PID == 0))
	of.ended = ended
	switch {
	case !s.options.Delta:
		emit(&Emission{Resource: r, Series: of, Start: min(of.Start, now), Ended: ended})
	case of.hasSome():
		emit(&Emission{Resource: r, Series: of, Start: min(max(of.Start, s.began), now)})
	default:
		return ended
	}
	of.emitted(s.options.Delta)
	return ended
}

// emitted resets what is emitted once.
func (s *Series) emitted(delta bool) {
	for i := range s.Points {
		if kind := s.Family.Instruments[i].Kind; kind == Ratio || delta && kind != Level {
			s.Points[i].reset()
		}
	}
	s.exemplars = exemplars{}
}

func (s *Series) hasSome() bool {
	for i := range s.Points {
		if s.Points[i].Count > 0 {
			return true
		}
	}
	return false
}

// isScarce reports whether the series that are not used are needed.
func (s *Store) isScarce() bool {
	most := s.options.Series - s.options.Series/overflowShare
	return s.used > most-most/overflowShare
}
