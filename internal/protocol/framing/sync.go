package framing

// Sync is whether it is known where messages begin. The zero Sync is that it is.
type Sync struct{ lost bool }

// Lose says that it is not known any more.
func (s *Sync) Lose() { s.lost = true }

// Lost reports whether it is not known.
func (s *Sync) Lost() bool { return s.lost }

// Found says that it is known again.
func (s *Sync) Found() { s.lost = false }

// A conversation is not worth following after so many bytes, or calls, without the beginning of a message. The bounds exceed what may pass
// of a body that was joined in the middle until either side has to send another message, by common sizes of windows. If no message
// has been read before, a fraction of them is enough.
const (
	garbageBytes = 1 << 20
	garbageCalls = 256
	unproven     = 16
)

// Garbage counts what has passed without the beginning of a message since the last one. Set it to zero where one begins.
type Garbage struct{ bytes, calls int }

// Add counts a call of n bytes, and reports whether it is enough. proven: messages have been read before.
func (g *Garbage) Add(n int, proven bool) bool {
	g.bytes += n
	g.calls++
	if proven {
		return g.bytes >= garbageBytes || g.calls >= garbageCalls
	}
	return g.bytes >= garbageBytes/unproven || g.calls >= garbageCalls/unproven
}
