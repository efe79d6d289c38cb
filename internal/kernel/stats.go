//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// EnableStats makes the kernel measure the run time of all programs, until the returned Closer is closed.
func EnableStats() (io.Closer, error) {
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("switch on the run-time statistics of eBPF programs: %w", err)
	}
	return c, nil
}

// ProgramStats is what a kernel program has cost. The kernel counts only while its statistics are switched on
// (kernel.bpf_stats_enabled).
type ProgramStats struct {
	Name    string
	Runs    uint64
	Runtime time.Duration // all runs together
}

// ProgramStats of all loaded programs, by name.
func (c *programs) ProgramStats() ([]ProgramStats, error) {
	var out []ProgramStats
	for name, program := range c.objects.Programs {
		stats, err := program.Stats()
		if err != nil {
			return nil, fmt.Errorf("read the statistics of program %s: %w", name, err)
		}
		out = append(out, ProgramStats{Name: name, Runs: stats.RunCount, Runtime: stats.Runtime})
	}
	slices.SortFunc(out, func(a, b ProgramStats) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
