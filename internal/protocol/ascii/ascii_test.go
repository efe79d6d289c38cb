package ascii

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "007": 7, "65536": 65536, "999999999999999999": 999999999999999999,
		"": -1, "-1": -1, "+1": -1, "1.": -1, "0x1": -1, "1a": -1, "/": -1, ":": -1, "9999999999999999999": -1, "18446744073709551617": -1,
		strings.Repeat("0", 30) + "5": 5, strings.Repeat("9", 100): -1,
	} {
		n, ok := Number([]byte(text))
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%q is %d, %t", text, n, ok)
		}
	}
}

// Every pair of a byte and one in lower case is compared with what the standard library finds.
func TestIsComparesWithoutCase(t *testing.T) {
	for c := range 128 {
		for l := range 128 {
			lower := string(rune(l))
			if lower != strings.ToLower(lower) {
				continue
			}
			word := []byte{byte(c)}
			if got, want := Is(word, lower), strings.ToLower(string(word)) == lower; got != want {
				t.Errorf("%q, %q: %t", word, lower, got)
			}
		}
	}
	for _, word := range []string{"", "hos", "hostt", "h\xf6st", "host\x00"} {
		if Is([]byte(word), "host") {
			t.Errorf("%q is host", word)
		}
	}
	if !Is([]byte("hOsT"), "host") || !Is(nil, "") {
		t.Error("what is the same differs")
	}
}

func TestClassesOfBytes(t *testing.T) {
	for c := range 256 {
		b := byte(c)
		for name, x := range map[string]struct {
			got  bool
			want string
		}{
			"digit":  {IsDigit(b), "0123456789"},
			"letter": {IsLetter(b), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"},
			"space":  {IsSpace(b), " \t"},
		} {
			if x.got != (bytes.IndexByte([]byte(x.want), b) >= 0) {
				t.Errorf("%s: %s", strconv.QuoteRune(rune(b)), name)
			}
		}
	}
}
