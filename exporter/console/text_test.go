package console

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestForeignTextIsHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"/plain":                          "/plain",
		"\x1b[31mred\x1b[0m":              `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\x07":                `\x1b]0;title\a`,
		"a\nb\r\tc":                       `a\nb\r\tc`,
		"\u009b31m":                       `\u009b31m`, // CSI in one character
		"a\xffb":                          `a\xffb`,
		"\u202egnp.exe":                   `\u202egnp.exe`, // reads from right to left
		"\u200bx\u2066y":                  `\u200bx\u2066y`,
		"\u2028":                          `\u2028`,
		"日本語":                             "日本語",
		"e\u0301":                         "e\u0301",
		"\U0001F600":                      "\U0001F600",
		"\U000F0000":                      `\U000f0000`, // private use
		"\x7f\x00":                        `\x7f\x00`,
		"\ufffd":                          "\ufffd",
		"a" + strings.Repeat("\u0301", 6): "a" + strings.Repeat("\u0301", 4) + `\u0301\u0301`,
	} {
		got, _ := appendText(nil, text, 100)
		assert.Equal(t, want, string(got), "%q", text)
	}
}

func TestForeignTextIsCutByWidth(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		want    string
		used    int
	}{
		{"12345", 5, "12345", 5},
		{"123456", 5, "1234…", 5},
		{"日本語", 6, "日本語", 6},
		{"日本語", 5, "日本…", 5},
		{"日本語", 4, "日…", 3},
		{"abc\x1b[0m", 6, `abc…`, 4},
		{"", 5, "", 0},
	} {
		got, used := appendText(nil, test.text, test.columns)
		assert.Equal(t, test.want, string(got))
		assert.Equal(t, test.used, used)
	}
}

func FuzzForeignText(f *testing.F) {
	f.Add("\x1b[31m\xff日本\u202e", 10)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		columns = 1 + int(uint(columns)%200)
		got, used := appendText(nil, text, columns)
		if used > columns || !utf8.Valid(got) {
			t.Fatalf("%q in %d columns: %q takes %d", text, columns, got, used)
		}
		for _, r := range string(got) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q has %q", got, r)
			}
		}
	})
}

func TestHostileAttributesStayWithinTheirLine(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Width = 120 })
	evil := "\x1b[2J\n" + strings.Repeat("x", 10_000)
	s := testSpan{service: evil, kind: ptrace.SpanKindClient, name: evil, trace: 1, id: 1, ended: 5, failed: true, attributes: map[string]any{
		"http.request.method": evil, "url.full": evil, "error.type": evil, "server.address": evil, "socketflow.connection.id": evil}}
	b.config.IDs, b.renderer.ids = true, true
	b.spans(s)
	lines := b.lines()
	assert.Len(t, lines, 1)
	assert.NotContains(t, lines[0], "\x1b")
	assert.Less(t, utf8.RuneCountInString(lines[0]), 300)
	assert.Contains(t, lines[0], "5.0 ms", "the end of the line is there")
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:            "0 µs",
		530 * time.Microsecond:  "530 µs",
		5300 * time.Microsecond: "5.3 ms",
		123 * time.Millisecond:  "123 ms",
		1234 * time.Millisecond: "1.23 s",
		192 * time.Second:       "3m12s",
	} {
		assert.Equal(t, want, duration(d))
	}
}
