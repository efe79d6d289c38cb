// Package plan defines the plan of a virtual machine and the format of its output, which the host side and the guest side of
// internal/integration/vmtest share.
package plan

// File is the path of the plan in the guest, as JSON.
const File = "plan.json"

// Plan is what a guest does, in this order.
type Plan struct {
	Output  string   // device for the output of the runs
	Modules []string // kernel modules to load, files
	Runs    []Run
}

// Run is one run of a test binary.
type Run struct {
	Name    string // one word, unique in the plan
	Program string
	Args    []string
	Env     []string
}

// These are lines of the guest's output: Begin and the run's name; its output; End, the name, the seconds it took, and ok or the
// error, divided by spaces.
const (
	Begin = "vmtest begins "
	End   = "vmtest ended "
)
