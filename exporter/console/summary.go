package console

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	maxServices = 200 // further ones are counted together
	others      = "(others)"
	shownRows   = 20
)

// summary counts what has been consumed, printed or not. Its owner locks it.
type summary struct {
	services map[string]*service
	failed   int // connections
	parts    map[string]int
	printed  int
	left     int // lines that were not printed
}

// service has what one service has served, and what it has asked of others.
type service struct{ served, made tally }

func newSummary() *summary {
	return &summary{services: map[string]*service{}, parts: map[string]int{}}
}

func (s *summary) of(name string) *service {
	if found := s.services[name]; found != nil {
		return found
	}
	if len(s.services) >= maxServices {
		name = others
		if found := s.services[name]; found != nil {
			return found
		}
	}
	added := &service{}
	s.services[name] = added
	return added
}

// captures are the values of socketflow.capture, other than complete, that say why something was not seen whole.
var captures = []string{"gap", "truncated", "joined_midstream", "cut"}

// captured counts an exchange that was not seen whole.
func (s *summary) captured(how string) {
	if slices.Contains(captures, how) {
		s.parts[how]++
	}
}

// Durations are counted in buckets whose bounds grow by a factor of 2^(1/8), so that a quantile is off by at most 9 %.
const (
	bucketsPerDouble = 8
	buckets          = 40 * bucketsPerDouble // from a microsecond to twelve days
)

// tally counts requests.
type tally struct {
	requests, errors int
	durations        [buckets]uint32
}

func (t *tally) add(took time.Duration, failed bool) {
	t.requests++
	if failed {
		t.errors++
	}
	i := 0
	if us := took.Microseconds(); us > 1 {
		i = min(int(math.Log2(float64(us))*bucketsPerDouble), buckets-1)
	}
	t.durations[i]++
}

// quantile returns the middle of the bucket that has the quantile.
func (t *tally) quantile(q float64) time.Duration {
	rank, sum := uint64(math.Ceil(q*float64(t.requests))), uint64(0)
	for i, n := range t.durations {
		if sum += uint64(n); sum >= rank {
			return time.Duration(math.Exp2((float64(i)+0.5)/bucketsPerDouble) * float64(time.Microsecond))
		}
	}
	return 0
}

func (t *tally) columns() string {
	if t.requests == 0 {
		return fmt.Sprintf("%9s %7s %8s %8s", "-", "", "", "")
	}
	return fmt.Sprintf("%9s %7s %8s %8s", humanize.Comma(int64(t.requests)), humanize.Comma(int64(t.errors)),
		duration(t.quantile(0.5)), duration(t.quantile(0.99)))
}

// busiest returns the names of services, those with most requests first.
func (s *summary) busiest() []string {
	names := slices.Collect(maps.Keys(s.services))
	names = slices.DeleteFunc(names, func(name string) bool {
		of := s.services[name]
		return of.served.requests+of.made.requests == 0 // all its spans were of another kind, or left out
	})
	slices.SortFunc(names, func(a, b string) int {
		x, y := s.services[a], s.services[b]
		return cmp.Or(cmp.Compare(y.served.requests+y.made.requests, x.served.requests+x.made.requests), cmp.Compare(a, b))
	})
	return names
}

// text is the summary of so long a run: a table, and what is missing in it.
func (s *summary) text(ran time.Duration) []string {
	var all service
	for _, of := range s.services {
		all.served.requests += of.served.requests
		all.served.errors += of.served.errors
		all.made.requests += of.made.requests
		all.made.errors += of.made.errors
	}
	out := []string{"", fmt.Sprintf("%s: requests served: %s (errors: %s), made: %s (errors: %s); connections failed: %s", duration(ran),
		humanize.Comma(int64(all.served.requests)), humanize.Comma(int64(all.served.errors)),
		humanize.Comma(int64(all.made.requests)), humanize.Comma(int64(all.made.errors)), humanize.Comma(int64(s.failed)))}
	if names := s.busiest(); len(names) > 0 {
		out = append(out, fmt.Sprintf("%-24s %9s %7s %8s %8s   %9s %7s %8s %8s",
			"service", "served", "errors", "p50", "p99", "made", "errors", "p50", "p99"))
		for i, name := range names {
			if i == shownRows {
				out = append(out, fmt.Sprintf("… %d more services", len(names)-i))
				break
			}
			cell, used := appendText(nil, name, 24)
			out = append(out, string(cell)+strings.Repeat(" ", 24-used)+" "+
				strings.TrimRight(s.services[name].served.columns()+"   "+s.services[name].made.columns(), " "))
		}
	}
	var parts []string
	for _, how := range captures {
		if n := s.parts[how]; n > 0 {
			parts = append(parts, humanize.Comma(int64(n))+" "+how)
		}
	}
	if len(parts) > 0 {
		out = append(out, "not seen whole (socketflow.capture): "+strings.Join(parts, ", "))
	}
	if s.left > 0 {
		out = append(out, fmt.Sprintf("%s lines were printed, %s left out", humanize.Comma(int64(s.printed)), humanize.Comma(int64(s.left))))
	}
	return out
}
