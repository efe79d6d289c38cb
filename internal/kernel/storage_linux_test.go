//go:build amd64 || arm64

package kernel

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStorageError(t *testing.T) {
	for name, test := range map[string]struct {
		err         error
		without16   bool
		unsupported bool
		says        string
	}{
		"none":                      {without16: true},
		"for want of cmpxchg16b":    {unix.ENOMEM, true, true, "cmpxchg16b"},
		"for want of something":     {unix.ENOMEM, false, true, "socket storage"},
		"for something else at all": {unix.EBADF, true, false, "remember a socket"},
	} {
		t.Run(name, func(t *testing.T) {
			err := storageError(test.err, test.without16)
			switch {
			case test.err == nil:
				if err != nil {
					t.Fatal(err)
				}
				return
			case !errors.Is(err, test.err), errors.Is(err, ErrUnsupported) != test.unsupported, !strings.Contains(err.Error(), test.says):
				t.Errorf("%v", err)
			}
			if !test.without16 && strings.Contains(err.Error(), "cmpxchg16b") {
				t.Errorf("the CPU has it: %v", err)
			}
		})
	}
}
