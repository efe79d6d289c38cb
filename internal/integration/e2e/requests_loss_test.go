//go:build e2e && linux

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
			c := runRequestCollector(t, withRing("128KiB"))
			s := newScene(t, builder, w.name)
			w.play(s)
			accounts := s.accounts()
			c.await(s, accounts)
			metrics, err := c.scrape()
			require.NoError(t, err)
			c.finish(t)
			var complete []requestSpan
			for _, span := range c.of(t, s.processes(accounts)) {
				if span.request() && span.text("socketflow.capture") == "complete" {
					complete = append(complete, span)
				}
			}
			v := compareRequests(w.name, accounts, complete)
			table = append(table, v)
			lost += metrics.sum("socketflow_payload_missing", "cause", "ring_full")
			requireNone(t, "invented", v.invented)
			requireNone(t, "emitted twice", v.twice)
			requireNone(t, "wrong", v.wrong)
		})
	}
	t.Log(table)
	assert.Positive(t, lost, "calls whose data were lost, or else this has shown nothing")
}
