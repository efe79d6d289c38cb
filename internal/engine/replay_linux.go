//go:build amd64 || arm64

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/internal/selection"
)

// Replay gives the shards what they were given when a recording was made, in the same order, and delivers what they emit. Nothing of this host is
// read: no kernel, no /proc, no clock. Of the options, those of the kernel's side and of metrics mean nothing. cut reports that the
// recording has no end, which is so if the program that made it was killed, or if there was no room. If ctx ends, its cause is the error.
func Replay(ctx context.Context, opts Options, from *recording.Reader) (cut bool, err error) {
	p, err := newPlayer(opts, from)
	if err != nil {
		return false, err
	}
	for ctx.Err() == nil {
		item, err := from.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return p.end(), context.Cause(ctx)
		case err != nil:
			return false, err
		}
		p.play(&item)
	}
	return false, context.Cause(ctx)
}

// player has an engine whose events come from a recording. It is for one goroutine.
type player struct {
	*Engine
	processes *lru.Cache[process.ID, *process.Info] // as they were described last
	wall      time.Time
	latest    uint64 // time of an event, CLOCK_MONOTONIC, ns
	ended     []bool // by shard
}

func newPlayer(opts Options, from *recording.Reader) (*player, error) {
	start := from.Start()
	opts.Shards, opts.Recording, opts.MetricsSink, opts.ExcludeSelf, opts.Rules = len(start.Seeds), nil, nil, false, start.Rules
	p := &player{Engine: New(opts), ended: make([]bool, opts.Shards), wall: start.At}
	p.tracer, p.mode, p.now = noKernel{}, start.Mode, func() time.Time { return p.wall }
	p.hostID, p.host, p.shared, p.seeds = start.HostID, process.Host{Name: start.HostName, ID: start.HostMachine}, start.Shared, start.Seeds
	chosen, err := selection.New(start.Rules)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", recording.ErrDamaged, err)
	}
	if p.processes, err = lru.New[process.ID, *process.Info](opts.Processes); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	if err := p.prepareShared(); err != nil {
		return nil, err
	}
	for i := range opts.Shards {
		s, err := newShard(p.Engine, i, chosen, p)
		if err != nil {
			return nil, err
		}
		p.shards = append(p.shards, s)
	}
	return p, nil
}

// Describe implements socket.Describer.
func (p *player) Describe(s process.Snapshot) *process.Info {
	if info, known := p.processes.Get(s.ID); known {
		return info
	}
	return &process.Info{ID: s.ID, ServiceName: process.UnknownService, ServiceNameSource: process.SourceUnknown}
}

func (p *player) play(i *recording.Item) {
	s := p.shards[i.Shard]
	switch {
	case p.ended[i.Shard]: // no program has written this
	case i.Process != nil:
		if i.Process.ServiceName == "" {
			i.Process.ServiceName = process.UnknownService
		}
		p.processes.Add(i.Process.ID, i.Process)
	case i.Event != nil:
		p.latest = max(p.latest, i.Event.Time)
		s.take(i.Event)
	case i.Tick != nil:
		p.wall = i.Tick.Wall
		s.pass(*i.Tick)
	case i.Forget != nil:
		s.forgetUnreported(&unreported{coverage: i.Forget.Coverage, since: i.Forget.Since})
	case i.Ended != 0:
		p.finish(i.Shard, i.Ended)
	default:
		p.progress.Reach(i.Shard, i.Reached)
	}
}

func (p *player) finish(shard int, at uint64) {
	p.ended[shard] = true
	p.shards[shard].end(at)
}

// end delivers what is left. It reports whether a shard's end is missing.
func (p *player) end() (cut bool) {
	cut = slices.Contains(p.ended, false)
	for i, ended := range p.ended {
		if !ended {
			p.finish(i, p.latest)
		}
	}
	for _, s := range p.shards {
		s.deliverAll()
	}
	return cut
}

// noKernel stands for the kernel in a replay: what user space wants of it has been decided when the recording was made.
type noKernel struct{ tracer }

func (noKernel) Want(uint64, event.Want) {}

func (noKernel) EndLayer(uint64) {}

func (noKernel) SetRuleMatch(process.ID, uint32, uint64) error { return nil }
