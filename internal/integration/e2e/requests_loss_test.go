//go:build e2e && linux

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestRequestsWithLoss gives the kernel so little room for payload that much is lost. Then requests are missing, or their spans
// are incomplete and say so. Spans that say that they are complete are right nevertheless.
func TestRequestsWithLoss(t *testing.T) {
	builder := newBuilder(t)
	var table comparisons
	lost := 0
	for _, w := range requestWorkloads {
		switch w.name {
		case "go", "go-h2c", "python", "node", "ruby-puma", "java-v6", "pipelined-go", "thousand-connections", "grpc":
		default:
			continue // they use the same parsers
		}
		t.Run(w.name, func(t *testing.T) {
			c := runRequestCollector(t, withRing("128KiB", "200ms"))
			c.patience = 5 * time.Second
			s := newScene(t, builder, w.name)
			w.play(s)
			accounts := s.accounts()
			c.await(s, accounts)
			counts := c.finish(t)
			v := counts.compare(w.name, accounts, c.of(t, s.processes(accounts)))
			table = append(table, v)
			lost += counts.captures
			requireNone(t, "invented", v.invented)
			requireNone(t, "emitted twice", v.twice)
			requireNone(t, "wrong", v.wrong)
		})
	}
	t.Log(table)
	assert.Positive(t, lost, "calls whose data were lost, or else this has shown nothing")
}
