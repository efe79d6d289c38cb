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
	"slices"
	"strings"
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
	MaxBytes   = 4 << 30 // of all lines, before they are compressed
	maxLine    = 2 << 20 // a call's payload, in base64, and what stands beside it
	maxMembers = 1024    // of a line: three bytes of a list are forty in memory
	maxPayload = 1 << 20 // of a call: the receiver's largest payload::call_limit
	maxShards  = 8       // the kernel side's SHARDS_MAX

	// Of one process, and of a name of a Unix socket (at most 108 bytes, each of which may have become a U+FFFD). The kernel and package process
	// bound these by field; here it is enough that nobody gets much more.
	maxProcessText = 128 << 10
	maxAttributes  = 64
	maxSocketName  = 3 * 110
	maxStartText   = 64 << 10

	maxTotals = 1 << 10 // the last line, which always has room
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
	case len(s.HostName)+len(s.HostMachine) > maxStartText:
		return fmt.Errorf("%w: the host's names have more than %d bytes", ErrDamaged, maxStartText)
	case slices.ContainsFunc(s.Rules, isCostly):
		return fmt.Errorf("%w: a rule by name is too long, or has alternatives", ErrDamaged)
	}
	return nil
}

// isCostly reports whether a rule's pattern may take long to compare with a path: alternatives within alternatives take exponential time.
func isCostly(r selection.Rule) bool {
	return len(r.Executable)+len(r.CgroupPath)+len(r.ContainerID) > maxStartText || strings.ContainsAny(r.Executable+r.CgroupPath, "{")
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
	Totals  *Totals
}

// Totals are the last line of a recording: what is in it, and what is not.
type Totals struct {
	Stats
	Losses
}

// Losses is what a recording lacks of what has happened.
type Losses struct {
	Dropped   uint64 // events that the kernel could not hand over
	Unhandled bool   // the time to end was over before all that the kernel had handed over was recorded
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
	if i.Process != nil {
		return checkProcess(i.Process)
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
	if len(d.Payload) > maxPayload || f.Local.Addr().Zone() != "" || f.Remote.Addr().Zone() != "" ||
		f.Unix != nil && max(len(f.Unix.Local), len(f.Unix.Remote)) > maxSocketName {
		return fmt.Errorf("%w: an event of kind %v has more payload, or a longer name, than the kernel reports", ErrDamaged, e.Kind)
	}
	if e.Kind == event.KindProcess && e.Process == nil {
		e.Process = &process.Snapshot{ID: e.Owner}
	}
	if e.Process != nil { // a description follows, which has all that counts
		e.Process = &process.Snapshot{ID: e.Process.ID}
	}
	if f.Transport == event.UnixStream && f.Unix == nil {
		f.Unix = &event.Unix{}
	}
	return nil
}

// checkProcess reports what no Reader of processes describes. Arguments are never recorded.
func checkProcess(p *process.Info) error {
	p.CommandLine = nil
	bytes := 0
	for _, text := range infoTexts(p) {
		bytes += len(*text)
	}
	for _, a := range p.ResourceAttributes {
		bytes += len(a.Key) + len(a.Value)
	}
	if bytes > maxProcessText || len(p.ResourceAttributes) > maxAttributes {
		return fmt.Errorf("%w: a process has more than %d bytes of names, or more than %d attributes", ErrDamaged, maxProcessText, maxAttributes)
	}
	return nil
}
