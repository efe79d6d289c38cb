// Package selection decides which processes and sockets are observed.
package selection

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
)

// MaxRules is how many rules a Selection can have: the kernel stores the matches of a process as the bits of one 64-bit word.
const MaxRules = 64

// Rule matches a socket that meets all criteria that are set.
type Rule struct {
	Exclude     bool
	Executable  string // glob over the executable's path, with ** for any number of directories
	PID         uint32
	ContainerID string // the id, or a prefix of it
	CgroupPath  string // glob over the cgroup's path, with ** for any number of levels
	LocalPort   ports.Range
	RemotePort  ports.Range
}

// Selection is a list of rules. A socket is observed if no excluding rule matches it, and an including rule matches it or
// there are no including rules. The zero Selection observes everything.
type Selection struct {
	rules   []Rule
	include bool
}

// New checks the rules.
func New(rules []Rule) (*Selection, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%d selection rules; at most %d are possible", len(rules), MaxRules)
	}
	s := &Selection{rules: rules}
	for _, r := range rules {
		for _, glob := range [...]string{r.Executable, r.CgroupPath} {
			if !doublestar.ValidatePattern(glob) {
				return nil, fmt.Errorf("%q is not a pattern", glob)
			}
		}
		s.include = s.include || !r.Exclude
	}
	return s, nil
}

// Empty reports whether everything is observed.
func (s *Selection) Empty() bool { return len(s.rules) == 0 }

// Rules are the rules, in the order of the bits of Process.
func (s *Selection) Rules() []Rule { return s.rules }

// Process returns, as bits, the rules whose criteria for processes p meets.
func (s *Selection) Process(p *process.Info) uint64 {
	var matches uint64
	for i := range s.rules {
		if s.rules[i].process(p) {
			matches |= 1 << i
		}
	}
	return matches
}

func (r *Rule) process(p *process.Info) bool {
	return (r.PID == 0 || r.PID == p.PID) &&
		(r.Executable == "" || r.matches(r.Executable, p.Executable, p.ExecutableCut)) &&
		(r.ContainerID == "" || r.container(p)) &&
		(r.CgroupPath == "" || r.matches(r.CgroupPath, p.CgroupPath, p.CgroupCut))
}

// container compares the container's id. Above a path that is cut there may be a container.
func (r *Rule) container(p *process.Info) bool {
	if p.CgroupCut && p.ContainerID == "" {
		return r.Exclude
	}
	return strings.HasPrefix(p.ContainerID, r.ContainerID)
}

// matches compares a path, of which cut says that only its end is known. Then an excluding rule matches what it may match, and
// an including rule what it matches for certain: a process does not come in by hiding its path.
func (r *Rule) matches(glob, path string, cut bool) bool {
	switch {
	case !cut:
		return doublestar.MatchUnvalidated(glob, path)
	case r.Exclude:
		return mayEnd(glob, path)
	default:
		rest := strings.TrimPrefix(glob, "/")
		return rest == "**" || strings.HasPrefix(rest, "**/") && doublestar.MatchUnvalidated(glob, path)
	}
}

// mayEnd reports whether a path that ends like this one may match. It compares the last elements only.
func mayEnd(glob, path string) bool {
	if path == "" || strings.ContainsAny(glob, "{[\\") { // in these a slash does not always separate elements
		return true
	}
	last := glob[strings.LastIndexByte(glob, '/')+1:]
	return last == "**" || doublestar.MatchUnvalidated(last, path[strings.LastIndexByte(path, '/')+1:])
}

// Observes reports whether a socket is observed whose owner meets the rules in matches.
func (s *Selection) Observes(matches uint64, f *event.Flow) bool {
	included := !s.include
	for i := range s.rules {
		r := &s.rules[i]
		if matches>>i&1 == 0 || !r.LocalPort.Contains(f.Local.Port()) || !r.RemotePort.Contains(f.Remote.Port()) {
			continue
		}
		if r.Exclude {
			return false
		}
		included = true
	}
	return included
}
