package procfs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheStartOfAProcess(t *testing.T) {
	const numbers = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"
	for name, test := range map[string]struct {
		line string
		want uint64
		err  string
	}{
		"plain":          {line: "1 (init)" + numbers, want: 4711},
		"a comm to fool": {line: "1 (a) S 1 (b c)" + numbers, want: 4711},
		"no comm":        {line: "1 init", err: "no comm"},
		"cut":            {line: "1 (init) S 1 2 3", err: "no start time"},
		"no number":      {line: strings.Replace("1 (init)"+numbers, "4711", "-", 1), err: "start time in stat is"},
		"too large":      {line: strings.Replace("1 (init)"+numbers, "4711", "99999999999999999999", 1), err: "start time in stat is"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(test.line))
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got.Start)
		})
	}
}

func FuzzStart(f *testing.F) {
	f.Add([]byte("1 (init) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if stat, err := parseStat(line); err != nil && stat != (Stat{}) {
			t.Errorf("%q: %+v, %v", line, stat, err)
		}
	})
}

func TestTheCommIsAnyBytes(t *testing.T) {
	const numbers = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 18446744073709551615 20 21\n"
	for _, comm := range []string{"systemd", "a b", ") R 1 2 (", "", "new\nline", "\xff"} {
		got, err := parseStat([]byte("1 (" + comm + ")" + numbers))
		require.NoError(t, err)
		assert.Equal(t, Stat{Comm: comm, Start: 1<<64 - 1}, got)
	}
}
