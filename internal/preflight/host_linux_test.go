//go:build amd64 || arm64

package preflight

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestUnreadableFileSystem(t *testing.T) {
	absent := &fs.PathError{Op: "stat", Path: "/a", Err: unix.ENOENT}
	forbidden := &fs.PathError{Op: "stat", Path: "/b", Err: unix.EACCES}
	for name, test := range map[string]struct {
		errs []error
		want string
	}{
		"mounted nowhere":           {[]error{absent, absent}, "not mounted"},
		"mounted, but not readable": {[]error{absent, forbidden}, "stat /b: permission denied"},
		"readable nowhere":          {[]error{forbidden, forbidden}, "stat /b: permission denied; stat /b: permission denied"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, unreadable(test.errs)) })
	}
}
