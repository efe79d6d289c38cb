package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/exporter/console/internal/metadata"
)

const (
	tick        = 50 * time.Millisecond
	startFails  = 2 * time.Second // until then a start that fails has mostly failed
	lastWrite   = 2 * time.Second // how long the end waits for an output that takes nothing
	writeSilent = time.Minute     // between two warnings of a failing output
)

// Why lines are not printed: the values of the attribute cause of otelcol_console_lines_left_out.
const (
	leftRate      = "rate"
	leftWaiting   = "waiting"
	leftUnwritten = "unwritten"
)

// console is what the pipelines of one configuration share. Consuming never waits for the output: it only puts lines into tables that are
// bounded, and one goroutine writes what has become due.
type console struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	now       func() time.Time
	forget    func()
	open      func() (*output, error)

	mu        sync.Mutex // of all that follows
	running   int        // pipelines
	waiting   *waiting
	budget    budget
	summary   *summary
	metrics   *metricTable
	include   filter
	exclude   filter
	counted   [2]*recent // requests of which one end was left out, by the span of the end that asks: that end was the one that serves, or asks
	requested *recent    // connections with requests
	failures  *recent    // connections that failed, and were counted
	began     time.Time
	consumed  bool // anything

	out      *output
	renderer renderer
	stop     chan struct{}
	done     chan struct{}
	warned   time.Time
}

func newConsole(config *Config, set component.TelemetrySettings) (*console, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &console{
		config:    config,
		logger:    set.Logger,
		telemetry: telemetry,
		now:       time.Now,
		forget:    func() {},
		open:      func() (*output, error) { return openOutput(config.Path, config.Width) },
		waiting:   newWaiting(config.Window, config.MaxWaiting),
		budget:    budget{most: config.MaxLinesPerSecond},
		summary:   newSummary(),
		metrics:   newMetricTable(),
		include:   newFilter(config.Include.FilterConfig, config.Include.SlowerThan),
		exclude:   newFilter(config.Exclude, 0),
		counted:   [2]*recent{newRecent(), newRecent()},
		requested: newRecent(),
		failures:  newRecent(),
	}, nil
}

// start opens the output when the first pipeline starts.
func (c *console) start(context.Context, component.Host) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running > 0 {
		c.running++
		return nil
	}
	out, err := c.open()
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	c.running++
	c.out = out
	c.renderer = renderer{columns: out.columns, color: colored(c.config.Color, out.terminal, os.Getenv), ids: c.config.IDs, zone: time.Local}
	c.began = c.now()
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	go c.run(c.stop, c.done)
	return nil
}

// shutdown prints what waits, and the summary, when the last pipeline ends.
func (c *console) shutdown(ctx context.Context) error {
	c.mu.Lock()
	if c.running > 0 {
		c.running--
	}
	last, stop, done := c.running == 0, c.stop, c.done
	if last {
		c.stop = nil
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	c.forget()
	defer c.telemetry.Shutdown()
	if stop == nil {
		return nil // it has not started
	}
	close(stop)
	ctx, cancel := context.WithTimeout(ctx, lastWrite)
	defer cancel()
	select {
	case <-done:
		return c.out.close()
	case <-ctx.Done():
		return errors.New("the output takes nothing: the last lines are lost")
	}
}

// run writes what is due, until the end.
func (c *console) run(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for greeted := false; ; {
		ends := false
		select {
		case <-stop:
			ends = true
		case <-ticker.C:
		}
		greeted = greeted || c.greet()
		if c.print(ends); ends {
			return
		}
	}
}

// greet prints the hint once the collector seems to run. Whether the other components have
// started, an exporter does not learn: if one has not, it ends, and a hint and a summary around its error would look like a run.
func (c *console) greet() (greeted bool) {
	c.mu.Lock()
	greeted = c.runs(c.now())
	c.mu.Unlock()
	if greeted && c.config.Hint {
		c.renderer.text(gray, c.hint())
		c.write()
	}
	return greeted
}

// runs reports whether the collector seems to run, by now.
func (c *console) runs(now time.Time) bool { return c.consumed || now.Sub(c.began) >= startFails }
