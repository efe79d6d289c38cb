package console

import (
	"fmt"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// maxMarks is how many marks without a width may follow each other. Scripts need up to four; more would pile up over other lines.
const maxMarks = 4

// appendText appends foreign text so that nothing in it acts on a terminal: control characters, invalid UTF-8 and what has no
// glyph of its own (also marks that reverse the direction of a line) are escaped. It takes columns at most; text that is cut ends in "…".
func appendText(dst []byte, text string, columns int) (_ []byte, used int) {
	fits, fitsUsed := len(dst), 0 // as far as there is room for "…" behind it
	marks := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		before := len(dst)
		w := runeWidth(r)
		if w != 0 {
			marks = 0
		} else if marks++; marks > maxMarks {
			w = -1
		}
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, text[i])
			w = len(dst) - before
		case w < 0:
			dst = appendEscaped(dst, r)
			w = len(dst) - before
		default:
			dst = append(dst, text[i:i+size]...)
		}
		if used += w; used > columns {
			return append(dst[:fits], "…"...), fitsUsed + 1
		}
		if used < columns {
			fits, fitsUsed = len(dst), used
		}
		i += size
	}
	return dst, used
}

func appendEscaped(dst []byte, r rune) []byte {
	quoted := strconv.QuoteRuneToASCII(r)
	return append(dst, quoted[1:len(quoted)-1]...)
}

// runeWidth is the number of columns of a rune, or -1 if it must not be printed. What is ambiguous takes one column outside of East Asian locales.
func runeWidth(r rune) int {
	switch {
	case r >= ' ' && r < 0x7f:
		return 1
	case !unicode.IsPrint(r):
		return -1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// duration is a text with two or three digits and a unit.
func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0 µs"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}
