package otlp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// TestSpansSayHowLongTheirPartsTook, if that is wanted, and as far as it is known.
func TestSpansSayHowLongTheirPartsTook(t *testing.T) {
	at := func(ms uint64) protocol.Stamp { return protocol.Stamp{Began: ms * 1e6, Time: ms * 1e6} }
	whole := func(side protocol.Side) *protocol.Exchange {
		x := get(side, "200")
		x.Start, x.RequestEnd, x.ResponseStart, x.End = at(10), at(12), at(52), at(60)
		return x
	}
	first := func(c *socket.Connection) {
		c.Exchanges, c.OpenedAt, c.AcceptedAt = 0, c.StartedAt+int64(3*time.Millisecond), c.StartedAt+int64(8*time.Millisecond)
	}
	for name, tc := range map[string]struct {
		x      *protocol.Exchange
		change []func(*socket.Connection)
		off    bool
		want   map[string]float64
	}{
		"client, first request": {whole(protocol.Client), []func(*socket.Connection){first}, false, map[string]float64{
			phaseConnecting: 0.003, phaseSending: 0.002, phaseWaiting: 0.04, phaseReceiving: 0.008,
		}},
		"server, first request": {whole(protocol.Server), []func(*socket.Connection){accepted, first}, false, map[string]float64{
			phaseQueued: 0.005, phaseReceiving: 0.002, phaseHandling: 0.04, phaseSending: 0.008,
		}},
		"looked up": {whole(protocol.Client), []func(*socket.Connection){first, func(c *socket.Connection) { c.PeerLookup = 7 * time.Millisecond }}, false, map[string]float64{
			phaseResolving: 0.007, phaseConnecting: 0.003, phaseSending: 0.002, phaseWaiting: 0.04, phaseReceiving: 0.008,
		}},
		"a later request on one that was looked up": {whole(protocol.Client), []func(*socket.Connection){func(c *socket.Connection) {
			c.Exchanges, c.PeerLookup = 1, 7*time.Millisecond
		}}, false, map[string]float64{phaseSending: 0.002, phaseWaiting: 0.04, phaseReceiving: 0.008}},
		"first within TLS": {whole(protocol.Server), []func(*socket.Connection){accepted, first, func(c *socket.Connection) {
			c.FirstWithinTLS, c.TLS = true, &protocol.TLS{Established: true, Handshake: 9 * time.Millisecond}
		}}, false, map[string]float64{phaseQueued: 0.005, phaseHandshake: 0.009, phaseReceiving: 0.002, phaseHandling: 0.04, phaseSending: 0.008}},
		"a later one within TLS": {whole(protocol.Client), []func(*socket.Connection){func(c *socket.Connection) {
			c.Exchanges, c.TLS = 1, &protocol.TLS{Established: true, Handshake: 9 * time.Millisecond}
		}}, false, map[string]float64{phaseSending: 0.002, phaseWaiting: 0.04, phaseReceiving: 0.008}},
		"a later request": {whole(protocol.Client), []func(*socket.Connection){func(c *socket.Connection) { c.Exchanges = 1 }}, false, map[string]float64{
			phaseSending: 0.002, phaseWaiting: 0.04, phaseReceiving: 0.008,
		}},
		"an older connection": {whole(protocol.Client), []func(*socket.Connection){first, func(c *socket.Connection) { c.Capture = socket.CaptureJoinedMidstream }}, false,
			map[string]float64{phaseSending: 0.002, phaseWaiting: 0.04, phaseReceiving: 0.008}},
		"not seen whole": {func() *protocol.Exchange { x := whole(protocol.Client); x.Capture = protocol.CaptureGap; return x }(), nil, false, map[string]float64{phaseConnecting: 0.001}},
		"not wanted":     {whole(protocol.Client), []func(*socket.Connection){first}, true, map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(Options{Traces: true, Phases: !tc.off})
			exchanged(tc.x, tc.change...)(b)
			_, traces := b.Take()
			span := onlySpan(t, traces)
			got := map[string]float64{}
			for _, key := range []string{phaseResolving, phaseConnecting, phaseQueued, phaseHandshake, phaseSending, phaseWaiting, phaseHandling, phaseReceiving} {
				if v, found := span.Attributes().Get(key); found {
					got[key] = v.Double()
				}
			}
			assert.InDeltaMapValues(t, tc.want, got, 1e-9)
			assert.Len(t, got, len(tc.want))
		})
	}
}
