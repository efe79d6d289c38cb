package otlp

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextsAreMadeSound(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"nginx":                            "nginx",
		"µ café 日本 👩‍🔧 \\n":                "µ café 日本 👩‍🔧 \\n",
		"nginx\nERROR root logged in":      `nginx\nERROR root logged in`,
		"a\r\tb":                           `a\r\tb`,
		"\x00a\x00":                        `\x00a\x00`,
		"\x1b[2J\x1b]0;title\a\b\x7f":      `\x1b[2J\x1b]0;title\x07\x08\x7f`,
		"\u0085\u009b31m":                  `\u0085\u009b31m`,
		"\u2028\u2029":                     `\u2028\u2029`,
		"gpj.\u202eexe\u202c \u2066\u2069": `gpj.\u202eexe\u202c \u2066\u2069`,
		"\u200e\u200f\u061c":               `\u200e\u200f\u061c`,
		"a\xff\xc3(\xe2\x82":               "a\ufffd\ufffd(\ufffd\ufffd",
		"\xc0\xaf\xed\xa0\x80":             "\ufffd\ufffd\ufffd\ufffd\ufffd",
		"\ufffd":                           "\ufffd",
	} {
		if got := sound(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestSoundTextsAreNotCopied(t *testing.T) {
	text := strings.Repeat("a µ", 100)
	if got := testing.AllocsPerRun(10, func() { _ = sound(text) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzSound(f *testing.F) {
	for _, text := range hostileTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := sound(text)
		if !isSound(got) || sound(got) != got {
			t.Errorf("%q becomes %q", text, got)
		}
		if len(got) > 4*len(text) {
			t.Errorf("%d bytes become %d", len(text), len(got))
		}
		if len(got) <= 10 {
			return
		}
		if cut := cutText(got, 10); !utf8.ValidString(cut) || !strings.HasPrefix(got, cut) || len(cut) > 10 {
			t.Errorf("%q is cut to %q", got, cut)
		}
	})
}

// isSound says the same as the code under test in another way.
func isSound(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r <= 0x9f || strings.ContainsRune("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", r)
	})
}

func TestTextsOfEightBytesAndMoreAreLookedAtWhole(t *testing.T) {
	for length := range 40 {
		for at := range length {
			for _, c := range []byte{0, 0x1f, ' ', '~', 0x7f, 0x80, 0xff} {
				text := []byte(strings.Repeat("a", length))
				text[at] = c
				want := at
				if c == ' ' || c == '~' {
					want = length
				}
				if got := unsoundAt(string(text)); got != want {
					t.Fatalf("%q is unsound at %d, want %d", text, got, want)
				}
			}
		}
	}
}
