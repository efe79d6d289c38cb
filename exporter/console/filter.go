package console

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/ports"
)

// filter has the conditions of include or exclude, ready to be used.
type filter struct {
	services   []string
	ports      []ports.Range
	statuses   []string
	slowerThan time.Duration
}

func newFilter(c FilterConfig, slowerThan time.Duration) filter {
	f := filter{services: c.Service, slowerThan: slowerThan}
	for _, value := range c.Port {
		r, _ := ports.Parse(scalar(value)) // Validate has done so
		f.ports = append(f.ports, r)
	}
	for _, value := range c.Status {
		f.statuses = append(f.statuses, strings.ToLower(scalar(value)))
	}
	return f
}

func (f *filter) empty() bool {
	return len(f.services) == 0 && len(f.ports) == 0 && len(f.statuses) == 0 && f.slowerThan == 0
}

// includes reports whether the line, which has one end, meets all conditions. Another end may meet those that this one does not.
func (f *filter) includes(l *line) bool {
	return (len(f.services) == 0 || f.hasService(l)) &&
		(len(f.ports) == 0 || f.hasPort(l)) &&
		(len(f.statuses) == 0 || f.hasStatus(l)) &&
		(f.slowerThan == 0 || l.took() >= f.slowerThan)
}

// excludes reports whether the line meets one of the conditions.
func (f *filter) excludes(l *line) bool {
	return f.hasService(l) || f.hasPort(l) || f.hasStatus(l)
}

func (f *filter) hasService(l *line) bool {
	return slices.ContainsFunc(f.services, func(pattern string) bool {
		for _, name := range []string{l.asks.service, l.asks.peer, l.serves.service, l.serves.peer} {
			if matched, _ := path.Match(pattern, name); matched {
				return true
			}
		}
		return false
	})
}

func (f *filter) hasPort(l *line) bool {
	return slices.ContainsFunc(f.ports, func(r ports.Range) bool {
		for _, port := range []int{l.serves.port, l.asks.peerPort} {
			if port > 0 && port <= 65535 && r.Contains(uint16(port)) {
				return true
			}
		}
		return false
	})
}

func (f *filter) hasStatus(l *line) bool {
	status, _, _ := strings.Cut(strings.ToLower(l.outcome), " ")
	return slices.ContainsFunc(f.statuses, func(wanted string) bool {
		switch {
		case wanted == "error":
			return l.failed
		case len(wanted) == 3 && wanted[1:] == "xx":
			return len(status) == 3 && status[0] == wanted[0]
		}
		return wanted == status || wanted == strings.ToLower(l.outcome)
	})
}
