package procfs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheCallThatAThreadWaitsIn(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want Call
		ok   bool
	}{
		"a call": {
			"43 0x3 0x0 0xffffffffffffffff 0x4 0x5 0x6 0x7ffd 0x7f00\n",
			Call{Number: 43, Args: [6]uint64{3, 0, 1<<64 - 1, 4, 5, 6}, Stack: 0x7ffd, PC: 0x7f00}, true,
		},
		"none, but it waits": {"-1 0x7ffd 0x7f00\n", Call{}, false},
		"it does not wait":   {"running\n", Call{}, false},
		"nothing":            {"", Call{}, false},
		"no number":          {"x 0x3 0x0 0x1 0x4 0x5 0x6 0x7ffd 0x7f00\n", Call{}, false},
		"no argument":        {"43 0x3 0x0 zz 0x4 0x5 0x6 0x7ffd 0x7f00\n", Call{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseCall([]byte(test.text))
			assert.Equal(t, test.ok, ok)
			assert.Equal(t, test.want, got)
		})
	}
}

func FuzzCall(f *testing.F) {
	f.Add([]byte("43 0x3 0x0 0x1 0x4 0x5 0x6 0x7ffd 0x7f00\n"))
	f.Add([]byte("running\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, ok := parseCall(text); !ok && c != (Call{}) {
			t.Errorf("%q: %+v", text, c)
		}
	})
}
