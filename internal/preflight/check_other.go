//go:build !linux || !(amd64 || arm64)

package preflight

import (
	"runtime"

	"github.com/socketflow/socketflow/internal/kernel"
)

// Check reports that this system cannot be observed.
func Check(asked kernel.Mode) *Report {
	return &Report{
		Asked: asked,
		Host: []Fact{{Name: factSystem, State: Missing, Found: runtime.GOOS + " on " + runtime.GOARCH,
			Lost: "nothing can be observed"}},
		Advice: []string{"run the collector on Linux, on amd64 or arm64; here it starts with on_unsupported: warn only, " +
			"and observes nothing"},
	}
}

// AddProcesses adds none.
func (r *Report) AddProcesses() error {
	r.Processes = []TLSUse{}
	return nil
}
