package otlp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

var question = peername.Question{Process: curl().ID, Address: netip.MustParseAddr("127.0.0.1"), At: 5}

func unsettled(c *socket.Connection) { c.PeerQuestion = question }

// An answer that another shard handles later is in the batch, as if it had come in time.
func TestPeerThatIsNamedWhenTheBatchIsTaken(t *testing.T) {
	emitAll := func(b *Builder, change func(*socket.Connection)) {
		c := connect(change)
		b.Opened(c)
		emitExchange(b, c, anonymous)
		emitExchange(b, c, get(protocol.Client, "200"))
		finByPeer(c)
		b.Closed(c)
		b.Failed(c)
		exchanged(nameless, change, accepted)(b)
	}
	for name, addresses := range map[string]AddressAttributes{"both": AddressBoth, "stable": AddressStable, "v1.20": AddressV120, "v1.12": AddressV112} {
		t.Run(name, func(t *testing.T) {
			at := false
			var asked []peername.Question
			late := newBuilder(Options{Addresses: addresses, ConnectionSpans: SpansAlways, PeerName: func(q peername.Question) (peername.Answer, bool) {
				require.True(t, at, "only when the batch is taken")
				asked = append(asked, q)
				return peername.Answer{Name: "db.example.com"}, true
			}})
			emitAll(late, unsettled)
			at = true
			gotLogs, gotTraces := late.Take()
			for _, q := range asked {
				assert.Equal(t, question, q)
			}
			assert.Len(t, asked, 6, "three records, two spans of connections, and one of a request")

			early := newBuilder(Options{Addresses: addresses, ConnectionSpans: SpansAlways})
			emitAll(early, resolved)
			wantLogs, wantTraces := early.Take()
			var got, want []map[string]any
			for _, s := range spansOf(gotTraces) {
				got = append(got, s.Attributes().AsRaw())
			}
			for _, s := range spansOf(wantTraces) {
				want = append(want, s.Attributes().AsRaw())
			}
			for _, r := range recordsOf(gotLogs) {
				got = append(got, r.Attributes().AsRaw())
			}
			for _, r := range recordsOf(wantLogs) {
				want = append(want, r.Attributes().AsRaw())
			}
			assert.Equal(t, want, got)

			late.Take()
			assert.Len(t, asked, 6, "once only")
		})
	}
}

func TestPeerThatHasNoNameWhenTheBatchIsTaken(t *testing.T) {
	b := newBuilder(Options{PeerName: func(peername.Question) (peername.Answer, bool) { return peername.Answer{}, false }})
	exchanged(anonymous, unsettled)(b)
	_, traces := b.Take()
	attributes := spansOf(traces)[0].Attributes()
	address, _ := attributes.Get(serverAddress)
	assert.Equal(t, "127.0.0.1", address.Str())
	_, found := attributes.Get(serverAddressSource)
	assert.False(t, found)
}

// TestLookupThatIsKnownWhenTheBatchIsTaken: also of a request that names its server.
func TestLookupThatIsKnownWhenTheBatchIsTaken(t *testing.T) {
	answer := func(peername.Question) (peername.Answer, bool) {
		return peername.Answer{Name: "db.example.com", Lookup: 40 * time.Millisecond}, true
	}
	for name, test := range map[string]struct {
		phases bool
		before uint64 // exchanges
		want   any
	}{
		"the first request": {true, 0, 0.04},
		"a later one":       {true, 1, nil},
		"not wanted":        {false, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(Options{Traces: true, Phases: test.phases, PeerName: answer})
			exchanged(get(protocol.Client, "200"), unsettled, func(c *socket.Connection) { c.Exchanges = test.before })(b)
			_, traces := b.Take()
			span := onlySpan(t, traces)
			assert.Equal(t, test.want, span.Attributes().AsRaw()[phaseResolving])
			assert.Equal(t, "shop.example.com", span.Attributes().AsRaw()[serverAddress])
		})
	}
}
