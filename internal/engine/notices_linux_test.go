//go:build amd64 || arm64

package engine

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/capability"
)

func TestUnownedConnectionsNoticeNamesMissingCapabilitiesOnly(t *testing.T) {
	of := func(numbers ...int) (s capability.Set) {
		for _, n := range numbers {
			s[n/32] |= 1 << (n % 32)
		}
		return s
	}
	for name, test := range map[string]struct {
		held capability.Set
		want string
	}{
		"both are there": {of(unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE), "older than the collector"},
		"one is missing": {of(unix.CAP_SYS_ADMIN), "collector; CAP_SYS_PTRACE would help where permission is denied"},
		"both missing":   {of(), "collector; CAP_SYS_ADMIN and CAP_SYS_PTRACE would help where permission is denied"},
	} {
		t.Run(name, func(t *testing.T) {
			core, logged := observer.New(zap.InfoLevel)
			noticeUnowned(zap.New(core), test.held, errors.New("permission denied"))
			require.Equal(t, 1, logged.Len())
			assert.Regexp(t, test.want+"$", logged.All()[0].Message)
		})
	}
}
