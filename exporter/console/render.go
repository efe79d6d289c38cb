package console

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// The colours are those of every terminal's first sixteen.
const (
	reset = "\x1b[0m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	gray  = "\x1b[90m"
)

const (
	minName    = 24 // columns of a name, where the line is narrow
	separator  = "  "
	timeLayout = "15:04:05.000"
)

// renderer makes text of lines.
type renderer struct {
	columns func() int
	color   bool
	ids     bool
	zone    *time.Location
	buf     []byte
}

func (r *renderer) paint(code, text string) {
	if !r.color || text == "" || code == "" {
		r.buf = append(r.buf, text...)
		return
	}
	r.buf = append(append(append(r.buf, code...), text...), reset...)
}

// line appends a line. All that comes from telemetry is made harmless, and what was asked for is cut, so that outcome and duration are always there.
func (r *renderer) line(l *line) {
	if l.kind == more {
		r.paint(gray, fmt.Sprintf("%s … %s more in this second", time.Unix(0, l.at).In(r.zone).Format(timeLayout), humanize.Comma(l.count)))
		r.buf = append(r.buf, '\n')
		return
	}
	columns := r.columns()
	from, to := l.names()
	most := max(minName, columns/4)
	head, used := appendText(nil, from, most)
	if to != "" {
		head = append(head, " → "...)
		var more int
		head, more = appendText(head, to, most)
		used += 3 + more
	}
	var indent string
	if l.depth > 0 {
		indent = strings.Repeat("  ", l.depth-1) + "└ "
	}
	tail := r.tail(l)
	room := columns - len(timeLayout) - 1 - utf8.RuneCountInString(indent) - used - utf8.RuneCountInString(tail)
	if tail != "" {
		room -= len(separator)
	}
	outcome, width := appendText(nil, l.outcome, max(minName, columns/4))
	if width > 0 {
		room -= width + len(separator)
	}

	r.paint(gray, time.Unix(0, l.at).In(r.zone).Format(timeLayout)+" "+indent)
	r.buf = append(r.buf, head...)
	if l.what != "" {
		r.buf = append(r.buf, separator...)
		whole, _ := appendText(nil, l.what, max(8, room-len(separator)))
		r.buf = append(r.buf, whole...)
	}
	if width > 0 {
		r.buf = append(r.buf, separator...)
		switch {
		case l.failed:
			r.paint(red, string(outcome))
		default:
			r.paint(green, string(outcome))
		}
	}
	if tail != "" {
		r.buf = append(r.buf, separator...)
		r.paint(gray, tail)
	}
	r.buf = append(r.buf, '\n')
}

// tail has what follows the outcome: volume, duration, ids.
func (r *renderer) tail(l *line) string {
	var parts []string
	if l.kind == connection {
		if volume := l.volume(); volume != "" {
			parts = append(parts, volume)
		}
	}
	if took := l.took(); !l.opened && (!l.quiet || took >= time.Second) {
		parts = append(parts, duration(took))
	}
	if r.ids {
		for _, e := range []*end{&l.asks, &l.serves} {
			if e.span.known() {
				parts = append(parts, "trace="+e.span.trace.String(), "span="+e.span.span.String())
			}
			if e.connection != "" {
				id, _ := appendText(nil, e.connection, 32)
				parts = append(parts, "connection="+string(id))
			}
		}
	}
	return strings.Join(parts, separator)
}

// text appends a line of the console's own.
func (r *renderer) text(code, text string) {
	r.paint(code, text)
	r.buf = append(r.buf, '\n')
}
