package http

import (
	"hash/maphash"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol"
)

// finish returns the text that was written to the pool's buffer since then, of at most limit bytes.
func (m *Message) finish(from, limit int) []byte {
	return m.text(m.pool.out[from:len(m.pool.out):len(m.pool.out)], limit)
}

// text makes b valid for OTLP: UTF-8, with invalid bytes replaced, and cut at limit.
func (m *Message) text(b []byte, limit int) []byte {
	if !utf8.Valid(b) {
		out := m.pool.out
		from := len(out)
		for len(b) > 0 && len(out)-from <= limit {
			r, size := utf8.DecodeRune(b)
			out = utf8.AppendRune(out, r) // utf8.RuneError for an invalid byte
			b = b[size:]
		}
		m.pool.out = out
		b = out[from:len(out):len(out)]
	}
	if len(b) > limit {
		m.Raise(protocol.CaptureTruncated)
		b = cutText(b, limit)
	}
	return b
}

// cutText cuts b to at most limit bytes, not within a character.
func cutText(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	for back := range min(utf8.UTFMax, limit+1) {
		if utf8.RuneStart(b[limit-back]) {
			return b[:limit-back]
		}
	}
	return b[:limit]
}

// names caches the strings of recent names, because hosts and methods recur. Like any direct-mapped cache it has a fixed size,
// and a peer that invents names costs one allocation for each.
type names struct {
	hosts   [64]string
	methods [256]string
}

var seed = maphash.MakeSeed()

// host returns the host as a string.
func (n *names) host(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return intern(&n.hosts[maphash.Bytes(seed, b)%uint64(len(n.hosts))], b)
}

// method returns the method as a string.
func (n *names) method(b []byte) string {
	return intern(&n.methods[maphash.Bytes(seed, b)%uint64(len(n.methods))], b)
}

// isRecent reports whether the method of this name was called not long ago.
func (n *names) isRecent(b []byte) bool {
	return n.methods[maphash.Bytes(seed, b)%uint64(len(n.methods))] == string(b)
}

func intern(slot *string, b []byte) string {
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
