package socket

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/process"
)

func TestRuntimesAreKnownByTheNamesOfTheirExecutables(t *testing.T) {
	for path, want := range map[string]struct{ atOnce, forwards bool }{
		"/usr/sbin/nginx": {true, false}, "/usr/bin/node": {true, false}, "/usr/sbin/haproxy": {false, true}, "/haproxy/python3": {}, "": {},
	} {
		p := &process.Info{Executable: path}
		assert.Equal(t, want.atOnce, actsAtOnce(p), path)
		assert.Equal(t, want.forwards, forwards(p), path)
	}
}
