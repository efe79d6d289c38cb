//go:build amd64 || arm64

package engine

import (
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/internal/socket"
)

// beginRecording writes what a replay has to know before the first item.
func (e *Engine) beginRecording() error {
	if e.opts.Recording == nil {
		return nil
	}
	return e.opts.Recording.Start(recording.Start{
		Version: e.opts.Telemetry.ScopeVersion, At: time.Now(), Mode: e.mode, Rules: e.opts.Rules, HostID: e.hostID, HostName: e.host.Name, HostMachine: e.host.ID,
		Shared: e.shared, Seeds: e.seeds,
	})
}

// recordedProcesses records how processes were described.
type recordedProcesses struct {
	of    *process.Reader
	to    *recording.Writer
	shard int
}

// Describe implements socket.Describer. The shard has locked the recording: it asks while it handles an item.
func (p *recordedProcesses) Describe(s process.Snapshot) *process.Info {
	info := p.of.Describe(s)
	p.to.Write(recording.Item{Shard: p.shard, Process: info})
	return info
}

func (e *Engine) describer(shard int) socket.Describer {
	if e.opts.Recording == nil {
		return e.processes
	}
	return &recordedProcesses{of: e.processes, to: e.opts.Recording, shard: shard}
}

// recordEvent handles an event, and records it as it was before. All shards wait meanwhile, so that a replay can repeat their order.
// Payload that nobody has read is left out: whoever has chosen ports has not chosen the secrets of others.
func (s *shard) recordEvent(e *event.Event) {
	before := *e
	defer s.recorded(recording.Item{Event: &before})()
	s.table.Handle(e)
	if d := &before.Data; before.Kind == event.KindData && !s.table.Parsed() && len(d.Payload) > 0 {
		d.Payload, d.CutReason = nil, d.CutReason|event.CutLimit
		d.Form, d.Frame, d.FrameLead, d.FrameUnwanted = event.FrameForm{}, 0, 0, false
	}
}

func nothing() {}

// recorded locks the recording. What it returns writes the item, and unlocks it. Where nothing is recorded, nothing is allocated.
func (s *shard) recorded(i recording.Item) func() {
	if to := s.engine.opts.Recording; to != nil {
		return lockFor(to, s.number, i)
	}
	return nothing
}

func lockFor(to *recording.Writer, shard int, i recording.Item) func() {
	i.Shard = shard
	to.Lock()
	return func() {
		to.Write(i)
		to.Unlock()
	}
}
