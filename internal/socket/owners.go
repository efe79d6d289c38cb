package socket

import (
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

// processGrace is how long an exited process is remembered: its last connections may close much later.
const processGrace = 2 * time.Minute

func (t *Table) describe(e *event.Event) {
	info := t.reader.Describe(*e.Process)
	t.processes.Add(info)
	t.setRuleMatch(info, e.Generation)
}

func (t *Table) setRuleMatch(info *process.Info, generation uint32) {
	if !t.opts.Selection.Empty() {
		t.opts.SetRuleMatch(info.ID, generation, t.rules(info))
	}
}

// maxMatches bounds the cache of rule matches. The cache is cleared when it is full.
const maxMatches = 4096

func (t *Table) rules(info *process.Info) uint64 {
	matches, known := t.matches[info]
	if !known {
		if len(t.matches) >= maxMatches {
			clear(t.matches)
		}
		matches = t.opts.Selection.Process(info)
		t.matches[info] = matches
	}
	return matches
}

func (t *Table) observes(owner *process.Info, f *event.Flow) bool {
	return t.opts.Selection.Empty() || t.opts.Selection.Observes(t.rules(owner), f)
}

// owner finds the process of an event. A process that the kernel has not described is older than the receiver, and is read
// from /proc.
func (t *Table) owner(id process.ID) *process.Info {
	if info, known := t.processes.Get(id); known {
		return info
	}
	info := t.reader.Describe(process.Snapshot{ID: id})
	t.processes.Add(info)
	if id.PID != 0 {
		t.setRuleMatch(info, 0)
	}
	return info
}
