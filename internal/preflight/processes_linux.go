//go:build amd64 || arm64

package preflight

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/socketflow/socketflow/internal/procfs"
)

// AddProcesses adds the TLS libraries of running processes, as far as these privileges allow to look at them.
func (r *Report) AddProcesses() error {
	pids, err := procfs.Processes()
	if err != nil {
		return err
	}
	s := newSurvey()
	r.Processes = []TLSUse{}
	at := map[TLSLibrary]int{}
	for _, pid := range pids {
		for _, l := range s.ofProcess(pid) {
			if l.Covered && !r.seesLibraries() {
				l.Covered, l.Why = false, "no library is looked into here: see "+libraryFact
			}
			i, ok := at[l]
			if !ok {
				i = len(r.Processes)
				at[l] = i
				r.Processes = append(r.Processes, TLSUse{TLSLibrary: l})
			}
			r.Processes[i].PIDs = append(r.Processes[i].PIDs, pid)
		}
	}
	slices.SortFunc(r.Processes, func(a, b TLSUse) int {
		return cmp.Or(cmp.Compare(a.Executable, b.Executable), cmp.Compare(a.Library, b.Library), cmp.Compare(a.File, b.File))
	})
	return nil
}

// seesLibraries reports whether the chosen mode looks into libraries.
func (r *Report) seesLibraries() bool {
	return slices.ContainsFunc(r.Attempts, func(a Attempt) bool {
		return a.Mode == r.Chosen && slices.ContainsFunc(a.Hooks, func(f Fact) bool { return f.Name == libraryFact && f.State == OK })
	})
}

// ofProcess are the libraries of a process; none if it has ended, or is none of ours to look at.
func (s *survey) ofProcess(pid uint32) []TLSLibrary {
	executable, err := procfs.Executable(pid)
	if err != nil {
		return nil
	}
	mapped, _, err := procfs.MappedFiles(pid)
	if err != nil {
		return nil
	}
	files := make([]programFile, len(mapped))
	for i := range mapped {
		m := &mapped[i]
		files[i] = programFile{strings.TrimSuffix(m.Path, deleted), func() (*os.File, error) { return m.Open(pid) }}
	}
	return s.of(strings.TrimSuffix(executable, deleted), files)
}

// deleted is what the kernel adds to the path of a file that has been unlinked.
const deleted = " (deleted)"
