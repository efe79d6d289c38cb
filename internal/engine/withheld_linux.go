//go:build amd64 || arm64

package engine

import "go.uber.org/zap"

// withheldNotice logs once that /proc has withheld something of a process.
type withheldNotice struct{ logged bool }

func (n *withheldNotice) update(logger *zap.Logger, processes uint64) {
	if processes == 0 || n.logged {
		return
	}
	n.logged = true
	logger.Info("of some processes /proc withholds the executable, the service name or the container; CAP_SYS_PTRACE and "+
		"CAP_DAC_READ_SEARCH help, and socketflow-check says what is lost", zap.Uint64("processes", processes))
}
