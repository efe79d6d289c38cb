package sampling

import "time"

// Policy says which spans are kept. The zero value keeps all.
type Policy struct {
	// Threshold is that of traces that begin here.
	Threshold Threshold
	// Limit is that of traces that begin here for as long as the process takes too much of the processor; 0: it does not. The higher one of both counts.
	Limit Threshold
	// HonourParent leaves out the traces that a trace context of the wire says are not sampled.
	HonourParent bool
	// Spans that the Threshold would leave out are kept if they failed, or took longer than that; 0: however long they took.
	KeepErrors     bool
	KeepSlowerThan time.Duration
}

// Decision is what becomes of a span.
type Decision uint8

// The decisions.
const (
	Kept        Decision = iota // as every other one
	Chosen                      // by its trace id: it stands for others, too
	Exempt                      // for what it is: it stands for itself
	OutByRatio                  // left out by its trace id
	OutByLimit                  // left out by its trace id, because the process takes too much of the processor
	OutByParent                 // left out because its trace is not sampled
	Decisions
)

var decisionNames = [Decisions]string{"kept", "chosen", "exempt", "ratio", "cpu_limit", "parent"}

func (d Decision) String() string {
	if d < Decisions {
		return decisionNames[d]
	}
	return "unknown"
}

// IsOut reports whether a span is left out.
func (d Decision) IsOut() bool { return d >= OutByRatio }

// Of decides about all spans of a trace. begins says that it begins here, and sampled that its flags say so.
func (p *Policy) Of(trace [16]byte, sampled, begins bool) Decision {
	threshold := max(p.Threshold, p.Limit)
	switch {
	case !sampled && p.HonourParent:
		return OutByParent
	case !begins || threshold == KeepAll:
		return Kept
	case threshold.Keeps(trace):
		return Chosen
	case p.Threshold.Keeps(trace):
		return OutByLimit
	default:
		return OutByRatio
	}
}

// Exempts reports whether a span that is left out by its trace id is kept all the same.
func (p *Policy) Exempts(out Decision, failed bool, took time.Duration) bool {
	return (out == OutByRatio || out == OutByLimit) && (failed && p.KeepErrors || p.KeepSlowerThan != 0 && took > p.KeepSlowerThan)
}
