package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/exporter/console"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/receiver"
)

// replay prints what the receiver makes of a recording.
func replay(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("socketflow replay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print whole spans and records, as OTLP's JSON, instead of a line for each request")
	connections := flags.String("connections", string(console.ConnectionsFailed), "which connections have lines: none, failed, without_requests or all")
	if err := parse(flags, args); err != nil {
		return err
	}
	name := flags.Arg(0)
	if name != "" {
		if err := parse(flags, flags.Args()[1:]); err != nil { // flags may come behind it, too
			return err
		}
	}
	if name == "" || flags.NArg() > 0 {
		return complain(stderr, "write which recording: socketflow replay x.sfr")
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if *asJSON {
		return finish(name, stderr)(replayTo(ctx, file, &jsonPrinter{to: stdout}, &jsonPrinter{to: stdout}))
	}
	cfg := consoleOf(console.Connections(*connections))
	if err := cfg.Validate(); err != nil {
		return complain(stderr, "-%v", err)
	}
	return finish(name, stderr)(replayToConsole(ctx, file, cfg))
}

// consoleOf is a console that prints all of a recording.
func consoleOf(connections console.Connections) *console.Config {
	cfg := console.NewFactory().CreateDefaultConfig().(*console.Config)
	cfg.Hint, cfg.MetricsInterval, cfg.MaxLinesPerSecond, cfg.MaxWaiting = false, 0, linesPerSecond, waiting
	cfg.Window, cfg.Connections = window, connections
	return cfg
}

// The console's largest: all lines of a recording come within a moment, and wait to be put in order. A busy machine may hand over the two ends of a
// connection a second apart.
const (
	window         = time.Minute
	linesPerSecond = 10_000
	waiting        = 1_000_000
)

func replayTo(ctx context.Context, from io.Reader, traces consumer.Traces, logs consumer.Logs) (receiver.Replayed, error) {
	cfg, err := configuration("auto", "")
	if err != nil {
		return receiver.Replayed{}, err
	}
	return receiver.Replay(ctx, cfg, programVersion(), from, traces, logs)
}

// finish says what the recording lacks, and what the replay does.
func finish(name string, stderr io.Writer) func(receiver.Replayed, error) error {
	return func(r receiver.Replayed, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		report := func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) }
		if r.Cut {
			report("The end of the recording is missing: what was under way then has no end here.")
		}
		if r.Totals != nil {
			reportLosses(report, r.Totals)
		}
		if r.Nameless > 0 {
			report("The recording names more than %s: %d descriptions of processes and sockets are left out.", humanize.IBytes(recording.MaxTexts), r.Nameless)
		}
		return nil
	}
}

// replayToConsole prints by the exporter console, on what its configuration names.
func replayToConsole(ctx context.Context, from io.Reader, cfg *console.Config) (of receiver.Replayed, err error) {
	factory := console.NewFactory()
	set := exporter.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: component.TelemetrySettings{
		Logger: zap.NewNop(), TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(), Resource: pcommon.NewResource(),
	}}
	traces, err := factory.CreateTraces(ctx, set, cfg)
	if err != nil {
		return of, err
	}
	logs, err := factory.CreateLogs(ctx, set, cfg)
	if err != nil {
		return of, err
	}
	for _, signal := range []component.Component{traces, logs} {
		if err := signal.Start(ctx, noExtensions{}); err != nil {
			return of, err
		}
		defer func() { err = errors.Join(err, signal.Shutdown(context.WithoutCancel(ctx))) }()
	}
	return replayTo(ctx, from, traces, logs)
}

// noExtensions is a collector without extensions.
type noExtensions struct{}

func (noExtensions) GetExtensions() map[component.ID]component.Component { return nil }

// jsonPrinter prints a line for each batch.
type jsonPrinter struct{ to io.Writer }

func (*jsonPrinter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (p *jsonPrinter) ConsumeTraces(_ context.Context, traces ptrace.Traces) error {
	if traces.SpanCount() == 0 {
		return nil
	}
	return p.print((&ptrace.JSONMarshaler{}).MarshalTraces(traces))
}

func (p *jsonPrinter) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	if logs.LogRecordCount() == 0 {
		return nil
	}
	return p.print((&plog.JSONMarshaler{}).MarshalLogs(logs))
}

func (p *jsonPrinter) print(text []byte, err error) error {
	if err == nil {
		_, err = p.to.Write(append(text, '\n'))
	}
	return err
}
