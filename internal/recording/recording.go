// Package recording writes what the kernel has reported of a host to a file, and reads it again: for a report of a defect that others can
// run through the same path.
//
// A recording is lines of JSON, compressed by gzip, so that whoever hands one on can read it first. The first line is a Start; each other
// line is an Item, with the members that are not zero.
package recording

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// Format is the version of what a recording holds. It changes when an older program could not read the recording, or would read it wrongly.
const Format = 1

// Bounds of a recording.
const (
	MaxBytes  = 4 << 30 // of all lines, before they are compressed
	maxLine   = 4 << 20 // a call's payload, in base64, and what stands beside it
	maxShards = 8       // the kernel side's SHARDS_MAX
)

// Start is what a recording begins with.
type Start struct {
	Format        int
	Version       string // of the program that has recorded
	At            time.Time
	Mode          kernel.Mode
	Payload       Payload
	NamesKept     bool
	AddressesKept bool
	HostID        uint64
	Rules         []selection.Rule // what was observed; none by name if names are replaced
	HostName      string
	HostMachine   string       // machine-id(5)
	Shared        trace.Seed   // what pairs of sockets, and ends that meet, are derived from
	Seeds         []trace.Seed // what ids are derived from, by shard
}

func (s *Start) check() error {
	switch {
	case s.Format != Format:
		return fmt.Errorf("the recording has format %d, and this program reads format %d; use a program of version %q", s.Format, Format, s.Version)
	case len(s.Seeds) < 1 || len(s.Seeds) > maxShards:
		return fmt.Errorf("%w: it has %d shards", ErrDamaged, len(s.Seeds))
	}
	return nil
}

// ErrDamaged means that a file is no recording, or that a part of it is missing or was changed.
var ErrDamaged = errors.New("no recording, or a damaged one")

// Item is one thing that a shard was given, in the order in which all shards have handled theirs. One member is set beside Shard.
type Item struct {
	Shard   int
	Event   *event.Event
	Process *process.Info   // the answer to a question that a shard asked while it handled the next item
	Tick    *socket.Reading // time has passed
	Reached uint64          // the shard has handled all from before this time: CLOCK_MONOTONIC, ns
	Forget  *Forget
	Ended   uint64 // no more events come; the observation has ended at this time: CLOCK_MONOTONIC, ns
}

// Forget is a request to forget sockets that were not reported alive.
type Forget struct {
	Coverage kernel.Coverage
	Since    uint64 // CLOCK_MONOTONIC, ns
}

// check reports what no program could have written. What is behind the reader takes the kernel's word, which this is not.
func (i *Item) check(shards int) error {
	if i.Shard < 0 || i.Shard >= shards {
		return fmt.Errorf("%w: shard %d of %d", ErrDamaged, i.Shard, shards)
	}
	if i.Event == nil {
		return nil
	}
	e, d := i.Event, &i.Event.Data
	f := &e.Flow
	if e.Kind >= event.Kinds || f.Transport >= event.Transports || f.AddressSource >= event.AddressSources || f.Role > event.RoleServer ||
		f.RoleSource > event.RoleSourceProtocol || d.Direction >= event.Directions || d.FrameLead > event.MaxFrameHeader ||
		uint64(d.Skipped)+uint64(len(d.Payload)) > uint64(d.Length) || d.Position > math.MaxInt64 ||
		d.Form != (event.FrameForm{}) && !d.Form.Valid() {
		return fmt.Errorf("%w: an event of kind %v contradicts itself", ErrDamaged, e.Kind)
	}
	if e.Kind == event.KindProcess && e.Process == nil {
		e.Process = &process.Snapshot{ID: e.Owner}
	}
	if f.Transport == event.UnixStream && f.Unix == nil {
		f.Unix = &event.Unix{}
	}
	return nil
}
