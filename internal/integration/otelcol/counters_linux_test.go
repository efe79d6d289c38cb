package otelcol

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

const scraped = `# TYPE otelcol_socketflow_kernel_events_lost counter
otelcol_socketflow_kernel_events_lost{cause="ring_full",kind="data"} 3
otelcol_socketflow_kernel_events_lost{cause="ring_full",kind="close"} 2
otelcol_socketflow_kernel_events 1000
otelcol_socketflow_parse_errors{cause="undecodable"} 5
otelcol_socketflow_parse_errors{cause="lost"} 1
otelcol_socketflow_items_refused{signal="spans"} 4
otelcol_socketflow_items_refused{signal="logs"} 40
otelcol_socketflow_datagrams_missed 6
`

func TestCountersAddUpTheirSeries(t *testing.T) {
	c := parse(scraped)
	assert.Equal(t, 5, c.Sum("socketflow_kernel_events_lost", ""))
	assert.Equal(t, 2, c.Sum("socketflow_kernel_events_lost", `kind="close"`))
	assert.Equal(t, 1000, c.Sum("socketflow_kernel_events", ""), "a name that begins another one")
	assert.Zero(t, c.Sum("socketflow_unknown", ""))
	assert.Equal(t, Losses{Export: 4, Kernel: 6, Flows: 6}, c.Losses())
}

func TestLossesAreNamed(t *testing.T) {
	assert.True(t, IsLoss(`socketflow_kernel_events_lost{cause="ring_full"}`))
	assert.False(t, IsLoss("socketflow_kernel_events"))
}
