package redact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// planted is a secret of the fuzzed texts. It has no character that ends a value, and no form of its own.
const planted = "5ecret0fNobody"

// disguised writes a text in the forms that clients use: each character escaped or not, up to three times; names in any case.
func disguised(text string, letters bool, r *rand.Rand) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		s := string(c)
		if letters && r.IntN(4) == 0 {
			s = strings.ToUpper(s)
		}
		for range r.IntN(4) * r.IntN(2) {
			s = fmt.Sprintf("%%%02x", s[0]) + s[1:]
		}
		b.WriteString(s)
	}
	return b.String()
}

// FuzzRedaction hides a secret among any bytes, in each of the ways in which secrets are known.
func FuzzRedaction(f *testing.F) {
	f.Add([]byte("a=b"), []byte("c=d"), uint64(1))
	f.Add([]byte("url=http%3A"), []byte(";x?y&z%"), uint64(2))
	f.Add([]byte(`q={"token":"`), []byte(`"}@`), uint64(3))
	f.Add([]byte("u=http://a:b/"), []byte("@//"), uint64(4))
	f.Add([]byte("/services/T00000000"), []byte("/%2f"), uint64(5))
	f.Add([]byte("Bearer+"), []byte("bot1234567:"), uint64(6))
	f.Fuzz(func(t *testing.T, before, after []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, seed))
		name := disguised(secretNames[r.IntN(len(secretNames))], true, r)
		for _, c := range [...]struct {
			kind   part
			hidden string // with the secret in it
			secret string
		}{
			{inQuery, name + "=" + planted, planted},
			{inQuery, "u=" + disguised("http://h/?", false, r) + name + disguised("=", false, r) + planted, planted},
			{inQuery, "u=" + disguised("http://user:"+planted+"@host", false, r), planted},
			{inQuery, "q=" + disguised(`{"a":[1,"b"],"password":"`, false, r) + planted + disguised(`"}`, false, r), planted},
			{inQuery, "u=" + disguised("http://h/reset/", false, r) + random[:14], random[:14]},
			{inQuery, "q=" + github, github},
			{inQuery, "q=" + jwt, jwt},
			{inQuery, "q=" + random, random},
			{inPath, "reset/" + random, random},
			{inPath, "webhooks/1/" + random, random},
			{inPath, "bot" + telegram, telegram},
			{inPath, "x;" + name + "=" + planted, planted},
			{inText, name + "=" + planted, planted},
			{inText, " " + github, github},
		} {
			if bytes.Contains(before, []byte(c.secret)) || bytes.Contains(after, []byte(c.secret)) {
				continue // then it is no secret
			}
			end := string(ends[c.kind])
			text := []byte(string(before) + end + c.hidden + end + string(after))
			got := redactAs(c.kind, text)
			if bytes.Contains(got, []byte(c.secret)) {
				t.Errorf("%q\nbecomes %q", text, got)
			}
			if again := redactAs(c.kind, got); !bytes.Equal(again, got) {
				t.Errorf("%q\nbecomes %q\nthen    %q", text, got, again)
			}
		}
	})
}

func redactAs(kind part, text []byte) []byte {
	rules := (*Rules)(nil)
	return [...]func(to, from []byte) []byte{inPath: rules.AppendPath, inQuery: rules.AppendQuery, inText: rules.AppendText}[kind](nil, text)
}

// Each of these would take minutes if the work grew with the square of the length.
func TestHostileTextsTakeLinearTime(t *testing.T) {
	const size = 1 << 18
	for _, repeated := range []string{
		"://", "://x:y/", "://x:y@", "a=//b:c/", `"token":"`, `\"`, `{"token":`, "%", "%25", "%2525", "=", "a=", "token=", "a:", "/reset", "/T00000000",
		"Aa", "aA0", "bearer ", "Bearer a ", "Basic a", "eyJ.", "/", "//", "//a:", "//a:b@", "<password>", `\u0061`, "%u0061", "\u00ad", "\uff50", "%3A%2F%2F", "\x00", "é",
	} {
		text := bytes.Repeat([]byte(repeated), size/len(repeated))
		for kind := range ends {
			if got := redactAs(part(kind), text); len(got) > 10*size {
				t.Errorf("%s: %d bytes become %d", repeated, size, len(got))
			}
		}
	}
}
