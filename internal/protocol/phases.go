package protocol

import "time"

// Phase is how long a part of an exchange took.
type Phase struct {
	time.Duration
	Known bool
}

// Phases are the parts of an exchange that was seen whole: the request, from there to the response, and the response. The clock is CLOCK_MONOTONIC, which
// stands still while the host is suspended.
func (x *Exchange) Phases() (all [3]Phase) {
	if x.Capture != CaptureComplete {
		return all
	}
	requested, answering := x.RequestEnd.Time, x.ResponseStart.Began
	if requested != 0 {
		all[0] = between(x.Start.Began, requested)
	}
	if requested != 0 && answering >= requested { // a server may answer before it has read everything
		all[1] = between(requested, answering)
	}
	if answering != 0 && x.Errno == 0 {
		all[2] = between(answering, x.End.Time)
	}
	return all
}

func between(from, to uint64) Phase { return Phase{time.Duration(to - min(from, to)), true} }
