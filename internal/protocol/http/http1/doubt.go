package http1

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// A client that always has n requests outstanding takes turns with the server just like one that waits for each response. So where
// observation began in the middle, or events were lost in which the client may have begun to pipeline, no number of turns shows that
// the pairing is right. Only a silence does: after it nothing is outstanding. Until then exchanges are emitted as paired, and their
// capture degree says that this is in doubt.

// distrust notes that requests that begin from now on may be paired wrongly. Responses to those before come first.
func (p *parser) distrust() { p.doubt = max(p.doubt, protocol.CaptureGap) }

// review is called where a request begins while the pairing is in doubt.
func (p *parser) review(start *protocol.Stamp) {
	r := &p.streams[protocol.FromServer]
	silent := p.idle() && pairing.Silent(p.active, start)
	if h := r.held; h != nil && (silent || h.parts[h.part].Stamp.Time < start.Began) { // it answers an earlier request
		if h.captured() {
			p.unpairedResponse()
		}
		p.drop(r)
		p.loosen()
	}
	if silent {
		p.loose, p.unseen, p.doubt = false, false, protocol.CaptureComplete
	}
}

// idle reports whether no request that is known is outstanding, and no response is being read.
func (p *parser) idle() bool {
	s := &p.streams[protocol.FromServer]
	return p.queue.Len() == 0 && p.missing == 0 && (s.state == lost || s.state == inStart && s.Empty())
}
