package socket

import "github.com/socketflow/socketflow/internal/event"

// Segments are what a TCP connection has sent and received since they were reported last, and the round trip times that were measured last since then, in
// microseconds. They are zero where that is not known, as in the syscall mode.
type Segments struct {
	Sent, Received, Retransmits uint32
	RTT, MinRTT                 uint32 // 0: none was measured since
}

// segments are those of a connection by now. The kernel's counts wrap, and so does what was reported.
type segments struct {
	known    Segments
	reported Segments // of these, but for the times
	older    bool     // what the connection had sent and received before the receiver began is not known: it counts from the first pass on
}

// note notes what the kernel says of a connection that is open, or has ended.
func (s *segments) note(e *event.Ending) {
	if e.Uncounted || e.SegmentsSent == 0 && e.SegmentsReceived == 0 {
		return
	}
	s.known = Segments{e.SegmentsSent, e.SegmentsReceived, e.Retransmits, e.RTT, e.MinRTT}
	if s.older {
		s.older, s.reported = false, s.known
	}
}

// since is what has not been reported.
func (s *segments) since() Segments {
	n := s.known
	n.Sent -= s.reported.Sent
	n.Received -= s.reported.Received
	n.Retransmits -= s.reported.Retransmits
	return n
}

// report notes that all that is known has been reported.
func (s *segments) report() {
	s.reported = s.known
	s.known.RTT, s.known.MinRTT = 0, 0
}

// segmentsAtEnd are those of a connection that has ended which were not reported.
func (c *connection) segmentsAtEnd() Segments {
	if c.flow.Transport == event.TCP {
		c.segments.note(&c.ending)
	}
	return c.segments.since()
}
