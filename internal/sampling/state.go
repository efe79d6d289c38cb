package sampling

import (
	"strings"
)

// State is what a tracestate says about how its trace was sampled, in the member "ot" (OpenTelemetry, "TraceState Handling"). The zero value says
// nothing.
type State struct {
	threshold, random uint64 // 0: there is none; else with the bit present
}

const (
	present = 1 << 63

	memberKey    = "ot"
	thresholdKey = "th:"
	randomKey    = "rv:"

	// MaxStateBytes is by how many bytes a State makes a tracestate longer at the most.
	MaxStateBytes = len(memberKey+"="+thresholdKey+";"+randomKey+";,") + 2*digits

	maxMembers = 32  // of a tracestate (W3C Trace Context, 3.3.1.1)
	maxValue   = 256 // bytes of a member's value
)

// StateOf reads a tracestate.
func StateOf(tracestate string) (s State) {
	for member := range strings.SplitSeq(tracestate, ",") {
		value, found := valueOf(member)
		if !found {
			continue
		}
		for part := range strings.SplitSeq(value, ";") {
			if text, found := strings.CutPrefix(part, thresholdKey); found && len(text) <= digits {
				s.threshold = parse(text)
			} else if text, found := strings.CutPrefix(part, randomKey); found && len(text) == digits {
				s.random = parse(text)
			}
		}
		return s // a key is there once
	}
	return s
}

// State is what the traces that this threshold keeps have.
func (t Threshold) State() State { return State{threshold: uint64(t) | present} }

// Counted reports whether it is known for how many traces one stands.
func (s State) Counted() bool { return s.threshold != 0 }

// In returns a tracestate with this as its member "ot", which comes first. What the member had for other purposes stays.
func (s State) In(tracestate string) string {
	var b strings.Builder
	b.Grow(len(tracestate) + MaxStateBytes)
	b.WriteString(memberKey + "=")
	s.write(&b)
	for member := range strings.SplitSeq(tracestate, ",") {
		if value, found := valueOf(member); found {
			keepOthers(&b, value)
			break
		}
	}
	members := 1
	for member := range strings.SplitSeq(tracestate, ",") {
		_, own := valueOf(member)
		if member = strings.Trim(member, " \t"); own || member == "" {
			continue
		}
		if members++; members > maxMembers { // the last one is to be left out
			break
		}
		b.WriteByte(',')
		b.WriteString(member)
	}
	return b.String()
}

func (s State) write(b *strings.Builder) {
	if s.threshold != 0 {
		b.WriteString(thresholdKey)
		text := hex(s.threshold)
		n := digits
		for n > 1 && text[n-1] == '0' {
			n--
		}
		b.Write(text[:n])
	}
	if s.random != 0 {
		if s.threshold != 0 {
			b.WriteByte(';')
		}
		b.WriteString(randomKey)
		text := hex(s.random)
		b.Write(text[:])
	}
}

// keepOthers adds the parts of a value that are for other purposes, if there is room.
func keepOthers(b *strings.Builder, value string) {
	for part := range strings.SplitSeq(value, ";") {
		if part = strings.Trim(part, " \t"); part == "" || strings.HasPrefix(part, thresholdKey) || strings.HasPrefix(part, randomKey) ||
			b.Len()-len(memberKey+"=")+1+len(part) > maxValue {
			continue
		}
		b.WriteByte(';')
		b.WriteString(part)
	}
}

// valueOf is the value of a member of a tracestate if it is the one that says how the trace was sampled.
func valueOf(member string) (value string, found bool) {
	return strings.CutPrefix(strings.Trim(member, " \t"), memberKey+"=")
}

// parse reads hexadecimal digits, which are as if followed by zeros. 0: these are none.
func parse(text string) (number uint64) {
	if text == "" {
		return 0
	}
	for i := range digits {
		digit := byte('0')
		if i < len(text) {
			digit = text[i]
		}
		number <<= 4
		switch {
		case digit >= '0' && digit <= '9':
			number |= uint64(digit - '0')
		case digit|0x20 >= 'a' && digit|0x20 <= 'f':
			number |= uint64(digit|0x20-'a') + 10
		default:
			return 0
		}
	}
	return number | present
}

func hex(number uint64) (text [digits]byte) {
	for i := range text {
		text[i] = "0123456789abcdef"[number>>(4*(digits-1-i))&15]
	}
	return text
}
