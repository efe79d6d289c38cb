//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/socket"
)

// discard is a sink that ignores its input.
type discard struct{}

func (discard) Opened(*socket.Connection)                                      {}
func (discard) Closed(*socket.Connection)                                      {}
func (discard) Failed(*socket.Connection)                                      {}
func (discard) Exchanged(*socket.Connection, *protocol.Exchange, int64, int64) {}

// stages are the steps that events pass.
var stages = []struct {
	name string
	way  func() (*way, error)
}{
	{"decoded", func() (*way, error) { return &way{}, nil }},
	{"and through the socket table and the parser", func() (*way, error) { return newWay(nil) }},
	{"and into spans, thrown away by the batch", func() (*way, error) {
		return newWay(otlp.NewBuilder(otlp.Options{Records: otlp.RecordAll, Traces: true, ScopeName: "bench"}))
	}},
	{"and into metrics instead of spans", newMeasuringWay},
}

// way processes events as a shard of the receiver does, up to a stage.
type way struct {
	table   *socket.Table
	builder *otlp.Builder
	// recorder measures; nil: nobody does.
	recorder *metrics.Recorder
}

// newWay leads to a builder; nil: to nothing.
func newWay(builder *otlp.Builder) (*way, error) {
	var sink socket.Sink = discard{}
	if builder != nil {
		sink = builder
	}
	w, err := newWayTo(sink, socket.Options{})
	if err == nil {
		w.builder = builder
	}
	return w, err
}

func newWayTo(sink socket.Sink, options socket.Options) (*way, error) {
	reader, err := process.NewReader(process.Options{OmitCommandLine: true})
	if err != nil {
		return nil, err
	}
	protocols, err := registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 64 << 10, Outstanding: 4096})
	if err != nil {
		return nil, err
	}
	options.Sockets, options.Processes, options.Selection = 65536, 16384, &selection.Selection{}
	options.Conversations = conversation.Options{
		Protocols: protocols, Memory: 64 << 20,
		Want: func(uint64, event.Want) {}, PayloadLimit: 256 << 10, PayloadBurst: 4 << 20,
	}
	w := &way{}
	w.table, err = socket.NewTable(options, reader, sink)
	return w, err
}

// The receiver's default limits.
const (
	eventsPerTick = 256
	batchSize     = 1024
)

func (w *way) handle(e *event.Event, n int) {
	if w.table == nil {
		return
	}
	w.table.Handle(e)
	if n%eventsPerTick == 0 {
		now := monotime.Now()
		w.table.Tick(socket.Reading{Before: now, Wall: time.Now(), After: now})
	}
	if w.recorder != nil && n%eventsPerTick == 0 {
		w.recorder.Settle(0)
	}
	if w.builder != nil && w.builder.Spans() >= batchSize {
		w.builder.Take()
	}
}

func (w *way) exchanges() (n uint64) {
	if w.table != nil {
		for i := range w.table.Stats().Exchanges {
			n += w.table.Stats().Exchanges[i].Load()
		}
	}
	return n
}

// replayed is the cost of a replay, without its first quarter, in which tables and buffers grow.
type replayed struct {
	events, exchanges, allocations, bytes float64
	time                                  time.Duration // of the processor, garbage collection included
}

func (r *recording) replay(w *way) (replayed, error) {
	var e event.Event
	var before, after runtime.MemStats
	var began time.Duration
	var exchanged uint64
	warm := r.events / 4
	n := 0
	for at := 0; at < r.used; n++ {
		if n == warm {
			runtime.ReadMemStats(&before)
			exchanged = w.exchanges()
			began = processorTime()
		}
		var raw []byte
		raw, at = r.next(at)
		if err := kernel.Decode(raw, &e); err != nil {
			return replayed{}, err
		}
		w.handle(&e, n)
	}
	took := processorTime() - began
	runtime.ReadMemStats(&after)
	return replayed{
		events: float64(n - warm), exchanges: float64(w.exchanges() - exchanged), time: took,
		allocations: float64(after.Mallocs - before.Mallocs), bytes: float64(after.TotalAlloc - before.TotalAlloc),
	}, nil
}

// processorTime is how long this process has run.
func processorTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		panic(err) // cannot happen: the clock exists and the pointer is valid
	}
	return time.Duration(ts.Nano())
}

// measureReplay measures user space, from the events up to the exporter.
func measureReplay(s *settings) error {
	for i := range dialogues {
		if err := measureRecording(s, &dialogues[i]); err != nil {
			return fmt.Errorf("%s: %w", dialogues[i].file, err)
		}
	}
	return nil
}

func measureRecording(s *settings, d *dialogue) (err error) {
	r, err := record(d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	// One processor does everything, including the garbage collector's part, as on a machine that has only one.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var arms []arm
	var exchanges float64
	for _, stage := range stages {
		arms = append(arms, arm{stage.name, func() ([]float64, error) {
			w, err := stage.way()
			if err != nil {
				return nil, err
			}
			runtime.GC()
			did, err := r.replay(w)
			exchanges = max(exchanges, did.exchanges)
			return []float64{
				float64(did.time.Nanoseconds()) / did.events, did.allocations / did.events, did.bytes / did.events,
				did.events,
			}, err
		}})
	}
	c, err := compare(arms, 4*s.rounds)
	if err != nil {
		return err
	}
	perExchange := c.value(0, 3).median / exchanges
	fmt.Printf("User space, %s, recorded once and replayed; both ends, %.2f events per %s, one processor; "+
		"medians of %d rounds (least to most):\n\n", d.name, perExchange, d.unit, 4*s.rounds)
	fmt.Printf("| | ns per event | ns per %[1]s | %[1]ss a second and core | allocations per event | per %[1]s | bytes per %[1]s |\n", d.unit)
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|")
	for i, a := range c.arms {
		ns, allocations := c.value(i, 0), c.value(i, 1)
		per := spread{ns.median * perExchange, ns.least * perExchange, ns.most * perExchange}
		fmt.Printf("| %s | %s | %s | %.0f | %.4f | %.2f | %.0f |\n", a.name, ns.format(0), per.format(0), 1e9/per.median,
			allocations.median, allocations.median*perExchange, c.value(i, 2).median*perExchange)
	}
	fmt.Println()
	if s.profile != "" {
		return errors.Join(
			profileReplay(s.profile+d.file+"-parsed.pprof", arms[1]),
			profileReplay(s.profile+d.file+"-built.pprof", arms[2]),
		)
	}
	return nil
}

// profileReplay writes a profile of an arm.
func profileReplay(name string, a arm) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	_, err = compare([]arm{a}, 50)
	return err
}
