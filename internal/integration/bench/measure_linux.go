//go:build amd64 || arm64

package main

import (
	"time"

	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// measuring is a sink that measures, and makes no spans.
type measuring struct {
	discard
	recorder *metrics.Recorder
}

// Closed implements socket.Sink, as the following do.
func (m measuring) Closed(c *socket.Connection) { m.recorder.Closed(c) }

// Failed implements socket.Sink.
func (m measuring) Failed(c *socket.Connection) { m.recorder.Failed(c) }

// Exchanged implements socket.Sink.
func (m measuring) Exchanged(c *socket.Connection, x *protocol.Exchange, start, end int64) {
	m.recorder.Exchanged(c, x, time.Duration(end-start), end)
}

// newMeasuringWay leads to metrics.
func newMeasuringWay() (*way, error) {
	owners := metrics.NewOwners(2 * 65536)
	settled := func(uint64) bool { return true }
	store := metrics.NewStore(metrics.Options{
		Series: 20_000, StaleAfter: time.Hour, Alive: func(process.ID) bool { return true },
		Text: func(s string) string { return s }, Errno: otlp.ErrnoName,
	}, 0)
	recorder := store.Recorder(metrics.Peers{Of: owners.Of, Settled: settled, Now: monotime.Now})
	w, err := newWayTo(measuring{recorder: recorder}, socket.Options{
		Unidentified: true, Paired: owners.Add, PeerOf: owners.Of, Settled: settled,
	})
	if err == nil {
		w.recorder = recorder
	}
	return w, err
}
