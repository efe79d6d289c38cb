package sampling

import "time"

// GovernorInterval is how often a Governor looks.
const GovernorInterval = time.Second

const (
	// fastest is the least part of the traces by which a Governor multiplies what is kept at once: what it has measured may have been a moment's.
	fastest = 1. / 4
	// relief is the part of the limit below which more traces are kept again, and recovery by how much more. Between relief and the limit nothing changes.
	relief   = 0.8
	recovery = 1.25
	// leastKept is the least part of the traces. It is not zero, so that more can be kept again.
	leastKept = 1. / 4096
)

// Governor finds the part of the traces for which a process takes no more than its limit of processor time. The zero value has no limit.
type Governor struct {
	limit float64 // processors
	kept  float64 // part of the traces that would be kept
}

// NewGovernor returns one for a limit in processors, which keeps all traces at first. 0: there is no limit.
func NewGovernor(limit float64) Governor { return Governor{limit: limit, kept: 1} }

// Govern takes how many processors the process has used since it was called last, and returns the part of the traces that are kept from now on. It halves in a
// few seconds what is too much, and takes a minute to go back from the least to all.
func (g *Governor) Govern(used float64) (kept float64) {
	switch {
	case used > g.limit:
		g.kept = max(g.kept*max(g.limit/used, fastest), leastKept)
	case used < g.limit*relief:
		g.kept = min(g.kept*recovery, 1)
	}
	return g.kept
}
