package metrics

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
)

// at is a time in ms.
func stampAt(ms uint64) protocol.Stamp { return protocol.Stamp{Began: ms * 1e6, Time: ms * 1e6} }

func TestPhasesOfExchanges(t *testing.T) {
	whole := func(x *protocol.Exchange) {
		x.Start, x.RequestEnd, x.ResponseStart, x.End = stampAt(10), stampAt(12), stampAt(52), stampAt(60)
	}
	for name, tc := range map[string]struct {
		change func(*protocol.Exchange)
		want   map[string]float64 // seconds
	}{
		"whole":                            {func(*protocol.Exchange) {}, map[string]float64{"receiving": 0.002, "handling": 0.04, "sending": 0.008}},
		"without the end of the request":   {func(x *protocol.Exchange) { x.RequestEnd = protocol.Stamp{} }, map[string]float64{"sending": 0.008}},
		"answered before it was read":      {func(x *protocol.Exchange) { x.RequestEnd = stampAt(55) }, map[string]float64{"receiving": 0.045, "sending": 0.008}},
		"without a response":               {func(x *protocol.Exchange) { x.ResponseStart, x.Error = protocol.Stamp{}, "timeout" }, map[string]float64{"receiving": 0.002}},
		"of which a part is not known":     {func(x *protocol.Exchange) { x.Capture = protocol.CaptureGap }, map[string]float64{}},
		"whose response was cut by an end": {func(x *protocol.Exchange) { x.Errno = 104 }, map[string]float64{"receiving": 0.002, "handling": 0.04}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStore(optionsFor(func(o *Options) { o.Phases = true }), 0)
			r := s.Recorder(nobody)
			measure(t, r, serving(shop(7)), get(200, whole, tc.change), second)
			r.HandOver(second, nil)
			got := map[string]float64{}
			s.Collect(second, func(e *Emission) {
				for i, instrument := range e.Series.Family.Instruments {
					for phase, name := range map[string]string{
						"receiving": "socketflow.server.request.receiving.duration", "handling": "socketflow.server.request.handling.duration",
						"sending": "socketflow.server.response.sending.duration",
					} {
						if instrument.Name == name && e.Series.Points[i].Count == 1 {
							got[phase] = e.Series.Points[i].Sum
						}
					}
				}
			})
			assert.Len(t, got, len(tc.want))
			for phase, want := range tc.want {
				assert.InDelta(t, want, got[phase], 1e-9, phase)
			}
		})
	}
}
