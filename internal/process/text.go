package process

import (
	"strings"
	"unicode/utf8"
)

// text makes a string of a process suitable for telemetry: valid UTF-8 (protobuf rejects the whole batch otherwise), and at
// most limit bytes, cut between runes. The result shares no memory with s, so that a short value does not keep a whole
// environment alive.
func text(s string, limit int) string {
	// Replacement never shortens the string, so that bytes beyond limit cannot be part of the result.
	if len(s) > limit {
		s = s[:runeBoundary(s, limit)]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > limit {
		s = s[:runeBoundary(s, limit)]
	}
	return strings.Clone(s)
}

// runeBoundary returns the largest cut at or below limit that does not split a rune.
func runeBoundary(s string, limit int) int {
	for cut := limit; cut > limit-utf8.UTFMax && cut > 0; cut-- {
		if utf8.RuneStart(s[cut]) {
			return cut
		}
	}
	return limit // not UTF-8: there is no rune to split
}

// label is text for names: trimmed, at most 255 bytes.
func label(s string) string {
	return strings.TrimSpace(text(strings.TrimSpace(s), maxName))
}
