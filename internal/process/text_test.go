package process

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextIsValidAndBounded(t *testing.T) {
	cases := []struct {
		about, in string
		limit     int
		want      string
	}{
		{"short", "abc", 5, "abc"},
		{"exact", "abcde", 5, "abcde"},
		{"cut", "abcdef", 5, "abcde"},
		{"cut between runes", "aéé", 4, "aé"},
		{"cut between long runes", "a😀😀", 8, "a😀"},
		{"invalid bytes", "a\xff\xfeb", 10, "a\uFFFDb"},
		{"a replacement that does not fit", "abc\xff", 4, "abc"},
		{"only continuation bytes", strings.Repeat("\x80", 10), 6, "\uFFFD"},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			got := text(c.in, c.limit)
			equal(t, c.in, got, c.want)
			if len(got) > c.limit || !utf8.ValidString(got) {
				t.Errorf("%q is not fit", got)
			}
		})
	}
}

func TestLabelIsTrimmed(t *testing.T) {
	equal(t, "spaces", label(" \tcart \n"), "cart")
	equal(t, "a space where it is cut", label(strings.Repeat("a", 254)+" b"), strings.Repeat("a", 254))
	equal(t, "long", label(strings.Repeat("a", 300)), strings.Repeat("a", 255))
}

func TestSameExecutable(t *testing.T) {
	cases := []struct {
		snapshot, proc string
		same           bool
	}{
		{"/usr/bin/nginx", "/usr/bin/nginx", true},
		{"/usr/bin/nginx", "/usr/bin/nginx (deleted)", true},
		{"/bin/app", "/opt/bin/app", true},        // the BPF program stopped at a mount on /opt
		{"/srv/chroot/bin/app", "/bin/app", true}, // the process has another root
		{"/app", "(unreachable)/app", true},       // a mount that is gone
		{"/memfd:runc_cloned:/proc/self/exe", "/memfd:runc_cloned:/proc/self/exe (deleted)", true},
		{"/usr/bin/bash", "/usr/bin/nginx", false},
		{"/usr/bin/python3", "/usr/bin/python3.11", false},
		{"/bin/sh", "/usr/bin/dash", false},
		{"/opt/myapp", "/opt/app", false}, // a tail, but not from a slash on
		{"/", "/usr/bin/nginx", false},
	}
	for _, c := range cases {
		t.Run(c.snapshot+" "+c.proc, func(t *testing.T) {
			equal(t, "one way", sameExecutable(cleanExecutable(c.snapshot), cleanExecutable(c.proc)), c.same)
			equal(t, "the other", sameExecutable(cleanExecutable(c.proc), cleanExecutable(c.snapshot)), c.same)
		})
	}
}

func TestExecutableName(t *testing.T) {
	for path, want := range map[string]string{
		"":                                  "",
		"/":                                 "",
		"/usr/bin/python3.11":               "python3.11",
		"/memfd:runc_cloned:/proc/self/exe": "",
	} {
		equal(t, path, (&Info{Executable: path}).ExecutableName(), want)
	}
}
