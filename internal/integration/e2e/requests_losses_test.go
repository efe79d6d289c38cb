//go:build e2e && linux

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// losses are what a collector has counted as lost. Other programs on the machine may be the cause: it observes them, too, and has the processors last.
type losses struct {
	captures int // calls, events and connections: all that belongs to them may be missing
	joins    int // requests whose other end, or cause, was not known in time: they may begin a trace of their own
}

func (s scrape) losses() losses {
	return losses{
		captures: s.sum("socketflow_payload_missing", "cause", "ring_full") + s.sum("socketflow_kernel_events_lost") + s.sum("socketflow_sockets_evicted"),
		joins:    s.sum("socketflow_exchanges_forgotten") + s.sum("socketflow_exchanges_unsettled"),
	}
}

// since is what was lost after an earlier moment.
func (l losses) since(before losses) losses {
	return losses{captures: l.captures - before.captures, joins: l.joins - before.joins}
}

// losses are those until now.
func (c *requestCollector) losses(t testing.TB) losses {
	t.Helper()
	metrics, err := c.scrape()
	require.NoError(t, err)
	return metrics.losses()
}

// compare compares spans with accounts. If something was not captured, these are the spans that say that they are complete: they have to be right all the
// same.
func (l losses) compare(workload string, accounts []account, spans []requestSpan) comparison {
	if l.captures > 0 {
		spans = complete(spans)
	}
	v := compareRequests(workload, accounts, spans)
	v.lost = l
	return v
}

func complete(spans []requestSpan) (all []requestSpan) {
	for _, s := range spans {
		if s.request() && s.text("socketflow.capture") == "complete" {
			all = append(all, s)
		}
	}
	return all
}
