package recording

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/redact"
	"github.com/socketflow/socketflow/internal/selection"
)

// Options of a Writer.
type Options struct {
	Payload       Payload
	KeepNames     bool // of programs, users, containers and files, and the paths of URLs
	KeepAddresses bool
	Bytes         int64 // of all lines but the last at most, before they are compressed; what has no room is left out, and Full closed
}

// Stats counts what a Writer did.
type Stats struct {
	Events          uint64
	PayloadBytes    uint64 // recorded
	PayloadLeftOut  uint64 // bytes that were captured, and that the choice of payload leaves out
	AddressesFolded uint64 // more addresses than have a replacement of their own
	LeftOut         uint64 // items that had no room
}

// Writer writes a recording. All shards use one: each locks it while it handles an item, so that the order of the items is that in which
// they were handled.
type Writer struct {
	mu      sync.Mutex
	options Options
	out     *bufio.Writer
	zip     *gzip.Writer
	names   names
	places  places
	heads   *heads
	bytes   int64
	err     error
	stats   Stats
	losses  Losses
	full    chan struct{}
	begun   bool
	ended   bool // nothing more is taken
	closed  bool
}

// NewWriter returns a Writer that has written nothing yet.
func NewWriter(to io.Writer, options Options) (*Writer, error) {
	out := bufio.NewWriter(to)
	w := &Writer{options: options, out: out, zip: gzip.NewWriter(out), names: newNames(), places: newPlaces(), full: make(chan struct{})}
	var err error
	w.heads, err = newHeads(w.names, options.KeepNames, redact.New(nil, nil))
	return w, err
}

// Full is closed when there is no room for more, or when writing has failed.
func (w *Writer) Full() <-chan struct{} { return w.full }

// Totals returns the counts, and what Lack has noted.
func (w *Writer) Totals() Totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Totals{w.stats, w.losses}
}

// Start writes the first line. The host's name and id are replaced if names are.
func (w *Writer) Start(s Start) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Format, s.Payload, s.NamesKept, s.AddressesKept = Format, w.options.Payload, w.options.KeepNames, w.options.KeepAddresses
	if !w.options.KeepNames {
		if slices.ContainsFunc(s.Rules, byName) {
			return errRuleByName
		}
		s.HostName, s.HostMachine, s.HostID = w.names.replace("host", s.HostName), w.names.identifier(s.HostMachine), w.names.number(s.HostID)
	}
	w.line(s)
	w.begun = w.err == nil && !w.ended
	return w.err
}

// Begun reports whether there is a recording: something has begun to watch.
func (w *Writer) Begun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun
}

// Lack notes what the recording lacks, for its last line.
func (w *Writer) Lack(l Losses) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losses = l
}

// errRuleByName: in a replay, such a rule would meet the names' replacements.
var errRuleByName = errors.New("a recording of what a name selects needs the names: keep them, or select by ports")

func byName(r selection.Rule) bool {
	return r.Executable != "" || r.ContainerID != "" || r.CgroupPath != ""
}

// Lock has the caller alone write, until Unlock. Write is called between them.
func (w *Writer) Lock() { w.mu.Lock() }

// Unlock ends what Lock began.
func (w *Writer) Unlock() { w.mu.Unlock() }

// Write writes an item. It neither changes nor keeps what the item refers to.
func (w *Writer) Write(i Item) {
	if w.ended {
		if !w.closed {
			w.stats.LeftOut++
		}
		return
	}
	if i.Event != nil {
		e := *i.Event
		w.conceal(&e)
		i.Event = &e
		w.stats.Events++
		w.stats.PayloadBytes += uint64(len(e.Data.Payload))
	}
	if i.Process != nil && !w.options.KeepNames {
		i.Process = w.names.process(i.Process)
	}
	w.line(i)
}

// conceal replaces what an event says of the host, by the options.
func (w *Writer) conceal(e *event.Event) {
	if e.Process != nil { // Item.Process has what was made of it
		e.Process = &process.Snapshot{ID: e.Process.ID}
	}
	if !w.options.KeepAddresses {
		e.Flow.Local, e.Flow.Remote = w.places.replace(e.Flow.Local), w.places.replace(e.Flow.Remote)
		w.stats.AddressesFolded = w.places.folded
	}
	if u := e.Flow.Unix; u != nil && !w.options.KeepNames {
		e.Flow.Unix = &event.Unix{Local: w.names.file(u.Local), Remote: w.names.file(u.Remote), PeerPID: u.PeerPID, Peer: u.Peer}
	}
	if e.Kind != event.KindData || w.options.Payload == PayloadAll {
		return
	}
	captured := len(e.Data.Payload)
	if w.options.Payload == PayloadHeads {
		e.Data.Payload = w.heads.of(e.Flow.Cookie, &e.Data)
	} else {
		e.Data.Payload = nil
	}
	if len(e.Data.Payload) < captured {
		w.stats.PayloadLeftOut += uint64(captured - len(e.Data.Payload))
		e.Data.CutReason |= event.CutLimit
		e.Data.Form, e.Data.Frame, e.Data.FrameLead, e.Data.FrameUnwanted = event.FrameForm{}, 0, 0, false
	}
}

func (w *Writer) line(of any) {
	if w.ended {
		return
	}
	text, err := json.Marshal(compact(reflect.ValueOf(of)))
	if err == nil && w.bytes+int64(len(text)) >= w.options.Bytes {
		w.stats.LeftOut++
		w.end()
		return
	}
	if err == nil {
		err = w.write(text)
	}
	if err != nil {
		w.err = fmt.Errorf("write the recording: %w", err)
		w.end()
	}
}

func (w *Writer) write(text []byte) error {
	w.bytes += int64(len(text)) + 1
	_, err := w.zip.Write(append(text, '\n'))
	return err
}

func (w *Writer) end() {
	w.ended = true
	close(w.full)
}

// Close writes the last line, and what is buffered. It does not close what it writes to. Shards may still be at work: what they write after that is
// left out.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.closed = true, true
	if w.begun && w.err == nil {
		text, err := json.Marshal(compact(reflect.ValueOf(Item{Totals: &Totals{w.stats, w.losses}})))
		if err == nil {
			err = w.write(text)
		}
		w.err = err
	}
	return errors.Join(w.err, w.zip.Close(), w.out.Flush())
}
