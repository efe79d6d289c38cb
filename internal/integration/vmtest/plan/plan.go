// Package plan is what a virtual machine is asked to run, and how it writes down that it did: what the host side and the guest
// side of internal/integration/vmtest have in common.
package plan

// File is where the guest finds its plan, as JSON.
const File = "plan.json"

// Plan is what a guest does, in this order.
type Plan struct {
	Output  string   // device for what the runs print
	Modules []string // kernel modules to load, files
	Runs    []Run
}

// Run is a test binary to be run.
type Run struct {
	Name    string // one word, unique in the plan
	Program string
	Args    []string
	Env     []string
}

// Lines of the guest's output: Begin and the run's name; its output; End, the name, the seconds it took, and ok or what was
// wrong, divided by spaces.
const (
	Begin = "vmtest begins "
	End   = "vmtest ended "
)
