//go:build amd64 || arm64

package engine

import "go.uber.org/zap"

// noticePIDNamespace logs that /proc does not have the host's pids, as in a container that does not share them.
func noticePIDNamespace(logger *zap.Logger, inHosts func() (bool, error)) {
	if host, err := inHosts(); host || err != nil {
		return
	}
	logger.Warn("the collector does not share the host's pid namespace: names of containers are missing, and in the syscall mode connections " +
		"that are older than the collector; run it with docker run --pid=host, in Kubernetes with hostPID: true")
}
