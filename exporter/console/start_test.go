package console

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestAFailedStartLooksLikeNoRun: if another component does not start, the collector ends at once, and prints its error.
func TestAFailedStartLooksLikeNoRun(t *testing.T) {
	withAll := func(c *Config) { c.Hint, c.Summary = true, true }
	consume := map[string]func(*bench) error{
		"spans":   func(b *bench) error { return b.consumeTraces(context.Background(), ptrace.NewTraces()) },
		"records": func(b *bench) error { return b.consumeLogs(context.Background(), plog.NewLogs()) },
		"metrics": func(b *bench) error { return b.consumeMetrics(context.Background(), pmetric.NewMetrics()) },
	}
	t.Run("it fails at once", func(t *testing.T) {
		b := newBench(t, withAll)
		b.clock = noon.Add(startFails - time.Millisecond)
		assert.False(t, b.greet())
		assert.Equal(t, []string{""}, b.lines())
	})
	t.Run("nothing has come", func(t *testing.T) {
		b := newBench(t, withAll)
		b.clock = noon.Add(5 * time.Second)
		assert.True(t, b.greet())
		assert.Contains(t, b.printed.String(), "Ctrl-C ends this with a summary.")
		b.printed.Reset()
		assert.Equal(t, []string{"", "Nothing was seen in 5.00 s."}, b.lines())
	})
	for name, consume := range consume {
		t.Run(name+" have come", func(t *testing.T) {
			b := newBench(t, withAll)
			assert.NoError(t, consume(b))
			assert.True(t, b.greet())
			assert.Contains(t, b.printed.String(), "Ctrl-C ends this with a summary.")
			b.printed.Reset()
			assert.Contains(t, b.lines()[1], "requests served: 0")
		})
	}
	t.Run("no hint is wanted", func(t *testing.T) {
		b := newBench(t, nil)
		b.config.Hint = false
		assert.NoError(t, consume["spans"](b))
		assert.True(t, b.greet())
		assert.Empty(t, b.printed.String())
	})
}
