// Package ports has ranges of ports.
package ports

import (
	"fmt"
	"strconv"
	"strings"
)

// Range is a range of ports that includes both ends. The zero Range contains all ports.
type Range struct{ Low, High uint16 }

// Parse parses a port, or two ports separated by a dash. Ports are 1 to 65535, and the first must not be above the last.
func Parse(text string) (r Range, ok bool) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, firstErr := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, lastErr := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if firstErr != nil || lastErr != nil || first == 0 || first > last {
		return Range{}, false
	}
	return Range{Low: uint16(first), High: uint16(last)}, true
}

// Contains reports whether a port is in the range.
func (r Range) Contains(port uint16) bool { return r == Range{} || (port >= r.Low && port <= r.High) }

// String formats the range for Parse. The zero Range is "".
func (r Range) String() string {
	switch r.Low {
	case 0:
		return ""
	case r.High:
		return strconv.Itoa(int(r.Low))
	default:
		return fmt.Sprintf("%d-%d", r.Low, r.High)
	}
}
