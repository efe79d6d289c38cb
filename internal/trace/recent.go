package trace

import "sync"

// recentEnds are ends that were added lately: of each set the latest ones. It is safe for concurrent use, and allocates nothing.
type recentEnds struct {
	parts [parts]recentPart
}

const (
	recentSets  = 256 // of a part
	recentOfSet = 4
)

type recentPart struct {
	mu   sync.Mutex
	sets [recentSets][recentOfSet]End // the latest one first
}

func (r *recentEnds) add(end End) {
	part, set := r.setOf(end)
	part.mu.Lock()
	copy(set[1:], set[:])
	set[0] = end
	part.mu.Unlock()
}

func (r *recentEnds) has(end End) (found bool) {
	part, set := r.setOf(end)
	part.mu.Lock()
	for _, e := range set {
		found = found || e == end
	}
	part.mu.Unlock()
	return found
}

func (r *recentEnds) setOf(end End) (*recentPart, *[recentOfSet]End) {
	part := &r.parts[end%parts]
	return part, &part.sets[end/parts%recentSets]
}
