package event

// Piece is a part of what one system call transferred: bytes, or a gap.
type Piece struct {
	Position uint64
	Bytes    []byte // nil: a gap
	Gap      uint64 // how many bytes it has
	Unwanted bool   // the gap is in the body of a frame that is not wanted; else its bytes were cut
}

// Pieces walks over what is behind the skipped bytes of a Data, in the order of the stream. The payload lacks the bodies of unwanted
// frames; the headers in it say where. It allocates nothing.
type Pieces struct {
	form     FrameForm
	payload  []byte // the rest
	position uint64 // of the rest
	end      uint64
	frame    uint64 // position of the next frame
	lead     int    // bytes that end a header which began before the event
	unwanted bool   // what is before frame and behind lead is not in the payload
}

// Pieces begins a walk. The payload has to stay valid.
func (d *Data) Pieces() Pieces {
	return Pieces{
		form: d.Form, payload: d.Payload, position: d.Position + uint64(d.Skipped), end: d.Position + uint64(d.Length),
		frame: d.Frame, lead: int(d.FrameLead), unwanted: d.FrameUnwanted,
	}
}

// Next returns the next piece; false: there is none. Neighbouring pieces of the payload are one.
func (p *Pieces) Next() (piece Piece, ok bool) {
	if p.position >= p.end {
		return Piece{}, false
	}
	piece.Position = p.position
	if n := min(p.whole(), int(min(p.end-p.position, uint64(len(p.payload))))); n > 0 {
		piece.Bytes = p.payload[:n:n]
		p.payload = p.payload[n:]
		p.position += uint64(n)
		return piece, true
	}
	piece.Gap = p.end - p.position
	if p.inUnwanted(p.position) {
		piece.Gap, piece.Unwanted = min(piece.Gap, p.frame-p.position), true
	}
	p.position += piece.Gap
	return piece, true
}

// inUnwanted reports whether the byte at a position is in the body of an unwanted frame.
func (p *Pieces) inUnwanted(position uint64) bool {
	return p.form.Header > 0 && p.lead == 0 && p.unwanted && position < p.frame
}

// whole returns how many bytes of the payload there are before the next gap.
func (p *Pieces) whole() (n int) {
	at := p.position
	for n < len(p.payload) && p.form.Header > 0 {
		left := len(p.payload) - n
		var step int
		switch {
		case p.lead > 0:
			step = min(p.lead, left)
			if p.lead -= step; p.lead == 0 && p.frame == FrameUnknown {
				p.form = FrameForm{}
			}
		case p.inUnwanted(at):
			return n
		case at < p.frame:
			step = int(min(p.frame-at, uint64(left)))
		case left < int(p.form.Header):
			step = left // the next event has its frame_lead
		default:
			step = int(p.form.Header)
			body, wanted, ok := p.form.Body(p.payload[n:])
			if p.frame, p.unwanted = at+uint64(step)+body, !wanted; !ok {
				p.form = FrameForm{} // nor has the kernel found frames behind it
			}
		}
		n += step
		at += uint64(step)
	}
	return len(p.payload)
}
