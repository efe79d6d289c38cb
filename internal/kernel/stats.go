//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ProgramStats is what a kernel program has cost. The kernel counts only while its statistics are switched on
// (kernel.bpf_stats_enabled).
type ProgramStats struct {
	Name    string
	Runs    uint64
	Runtime time.Duration // all runs together
}

// ProgramStats of all loaded programs, by name.
func (c *Capture) ProgramStats() ([]ProgramStats, error) {
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
