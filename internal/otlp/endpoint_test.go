package otlp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// The other end of a connection may have been accepted at another address than the one that was connected to (DNAT).
func TestTranslatedAddressIsOfTheEndThatAccepted(t *testing.T) {
	const far = trace.End(7)
	connected := connect().Remote
	accepted := netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
	for name, test := range map[string]struct {
		far   trace.End
		at    netip.AddrPort
		known bool
		want  bool
	}{
		"translated":        {far, accepted, true, true},
		"not translated":    {far, connected, true, false},
		"on another host":   {far, netip.AddrPort{}, false, false},
		"the end that asks": {0, accepted, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(Options{
				Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return trace.Parent{}, false },
				Endpoint: func(end trace.End) (netip.AddrPort, bool) {
					assert.Equal(t, far, end)
					return test.at, test.known
				},
			})
			x := get(protocol.Client, "200")
			x.Start.Began, x.End.Time = 10, 20
			exchanged(x, asking, func(c *socket.Connection) { c.FarEnd = test.far })(b)
			b.Close(b.options.Now())
			question := uint64(10)
			if test.far != 0 {
				question = 20 // it may have been accepted once the request had begun
			}
			assert.Equal(t, question, b.LatestQuestion())
			_, traces := b.Take()
			span := spansOf(traces)[0]
			address, has := span.Attributes().Get(peerAddress)
			require.Equal(t, test.want, has)
			if has {
				port, _ := span.Attributes().Get(peerPort)
				assert.Equal(t, accepted, netip.AddrPortFrom(netip.MustParseAddr(address.Str()), uint16(port.Int())))
			}
		})
	}
}

// What a translated address takes is reserved, also where a batch is full.
func TestRoomForTranslatedAddressIsReserved(t *testing.T) {
	room := func(far trace.End) int {
		b := newBuilder(Options{
			Bounds:   Bounds{Bytes: 1 << 20},
			Resolve:  func(trace.ExchangeKey) (trace.Parent, bool) { return trace.Parent{}, true },
			Endpoint: func(trace.End) (netip.AddrPort, bool) { return netip.AddrPort{}, false },
		})
		exchanged(get(protocol.Client, "200"), asking, func(c *socket.Connection) { c.FarEnd = far })(b)
		return b.spans.room(&b.options.Bounds)
	}
	span := ptrace.NewSpan()
	span.Attributes().PutStr(peerAddress, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	span.Attributes().PutInt(peerPort, 65535)
	assert.GreaterOrEqual(t, room(0)-room(7), spanSizer.SpanSize(span)-spanSizer.SpanSize(ptrace.NewSpan()))
}
