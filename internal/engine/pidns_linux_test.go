//go:build amd64 || arm64

package engine

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestAnotherPIDNamespaceIsLogged(t *testing.T) {
	for name, test := range map[string]struct {
		host   bool
		err    error
		logged int
	}{
		"the host's": {host: true},
		"another":    {logged: 1},
		"not known":  {err: errors.New("no /proc")},
	} {
		core, logged := observer.New(zap.WarnLevel)
		noticePIDNamespace(zap.New(core), func() (bool, error) { return test.host, test.err })
		assert.Equal(t, test.logged, logged.Len(), name)
	}
}
