//go:build amd64 || arm64

package engine

import (
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/capability"
)

// noticeUnowned logs that connections of other network namespaces could not be looked for, and which capabilities are missing for that.
func noticeUnowned(logger *zap.Logger, held capability.Set, err error) {
	message := "connections that no process holds (in a backlog, left behind) may be missing if they are older than the collector"
	var missing []string
	for _, c := range []struct {
		name   string
		number int
	}{{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}, {"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}} {
		if !held.Has(c.number) {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		message += "; " + strings.Join(missing, " and ") + " would help where permission is denied"
	}
	logger.Info(message, zap.Error(err))
}
