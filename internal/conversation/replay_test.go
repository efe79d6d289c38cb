package conversation_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// replayFor is how long conversations are replayed, as a duration, at random; "": replays times, always the same.
const replayFor = "SOCKETFLOW_REPLAY_FOR"

const replays = 5000

// replayMemory bounds what the conversations of a replay hold.
const replayMemory = 1 << 20

// counting counts the exchanges of a conversation, by protocol, and those that have begun and not ended.
type counting struct {
	ended   map[string]int
	running map[protocol.ID]bool
	unknown int // exchanges that have ended twice
}

func (c *counting) Emit(id protocol.ID, x *protocol.Exchange) {
	c.ended[x.Protocol]++
	delete(c.running, id)
}

func (c *counting) Begin(id protocol.ID, _ *protocol.Request) {
	if c.running[id] {
		c.unknown++
	}
	c.running[id] = true
}
func (c *counting) Continue(protocol.ID, *protocol.Carried) {}
func (c *counting) Requested(protocol.ID, *protocol.Stamp)  {}
func (c *counting) Forget(id protocol.ID)                   { delete(c.running, id) }
func (c *counting) Omit(*protocol.Exchange)                 {}

// repeated are the samples whose turns may follow each other again and again.
var repeated = map[string]bool{"HTTP/1": true, "Redis": true, "Memcached text": true, "Memcached binary": true,
	"DNS over TCP": true, "Memcached set": true}

// turnsOf are those of a sample, several times if they may be repeated.
func turnsOf(s *sample) []string {
	turns := slices.Clone(s.turns)
	if repeated[s.name] {
		for range 4 {
			turns = append(turns, s.turns...)
		}
	}
	return turns
}

// piece is what a call transfers.
type piece struct {
	direction event.Direction
	position  uint64
	bytes     string
	missing   uint32 // bytes behind these that were not captured
}

// piecesOf cuts the turns into calls, up to most bytes each.
func piecesOf(turns []string, most int, random *rand.Rand) (all []piece) {
	var position [event.Directions]uint64
	for i, turn := range turns {
		d := event.Direction(i % 2)
		for len(turn) > 0 {
			n := min(len(turn), 1+random.IntN(most))
			all = append(all, piece{direction: d, position: position[d], bytes: turn[:n]})
			position[d] += uint64(n)
			turn = turn[n:]
		}
	}
	return all
}

// disturb loses calls, or the ends of them, repeats some, and changes the order of those of different directions. A datagram that
// comes again is another one.
func disturb(pieces []piece, repeats bool, random *rand.Rand) (all []piece) {
	for _, p := range pieces {
		switch random.IntN(12) {
		case 0: // it is lost
		case 1:
			cut := random.IntN(len(p.bytes) + 1)
			p.bytes, p.missing = p.bytes[:cut], uint32(len(p.bytes)-cut)
			all = append(all, p)
		case 2:
			if all = append(all, p); repeats {
				all = append(all, p)
			}
		case 3:
			if last := len(all) - 1; last >= 0 && all[last].direction != p.direction {
				all = append(all[:last], p, all[last])
			} else {
				all = append(all, p)
			}
		default:
			all = append(all, p)
		}
	}
	return all
}

// replay plays pieces at an end, and returns what was emitted.
func replay(t *testing.T, l *listener, pieces []piece, datagrams, joined bool, role event.Role) *counting {
	c := &counting{ended: map[string]int{}, running: map[protocol.ID]bool{}}
	conv := l.shard.Begin(nil, conversation.Connection{Cookie: 1, Role: role, Datagrams: datagrams, Joined: joined}, c)
	require.NotNil(t, conv)
	for i, p := range pieces {
		d := p.direction
		if role == event.RoleServer {
			d ^= 1
		}
		conv.Data(&event.Event{Kind: event.KindData, Time: uint64(i + 1), Data: event.Data{
			Direction: d, Position: p.position, Length: uint32(len(p.bytes)) + p.missing, Payload: []byte(p.bytes), CutReason: event.CutRingFull,
		}})
		n, _, _ := conv.InProgress()
		require.True(t, n >= 0 && n <= len(c.running), "%d exchanges are in progress, %d have begun and not ended", n, len(c.running))
		require.LessOrEqual(t, l.shard.Stats().Held.Load(), int64(replayMemory))
	}
	conv.Abandon(uint64(len(pieces) + 1))
	require.Empty(t, c.running, "an exchange never ends")
	require.Zero(t, c.unknown)
	require.Zero(t, l.shard.Stats().Held.Load(), "memory is left behind")
	return c
}

// reportReplays is how many calls are replayed between two lines of replayProgress: more than the default replays have.
const reportReplays = 2_000_000

// replayProgress reports, in a long replay, what processor time a call took and what memory the process holds: both have to stay as they
// are.
type replayProgress struct {
	calls, next int
	used        time.Duration
}

func (p *replayProgress) add(t *testing.T, calls int) {
	if p.calls += calls; p.calls < p.next {
		return
	}
	runtime.GC() // which brings the samples up to date, too
	used := []metrics.Sample{{Name: "/cpu/classes/user:cpu-seconds"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(used)
	cpu := time.Duration(used[0].Value.Float64() * float64(time.Second))
	t.Logf("%d calls replayed; the last %d at %s of processor time each; heap %d KiB, %d KiB of the system",
		p.calls, reportReplays, (cpu-p.used)/reportReplays, used[1].Value.Uint64()>>10, used[2].Value.Uint64()>>10)
	p.next, p.used = p.calls+reportReplays, cpu
}

// TestReplaysInventNothing plays every sample of a protocol that is parsed, with random cuts, losses, repetitions and changes of order.
// There are never more exchanges than without those, nor any of another protocol; all that has begun ends, and no memory is left behind.
func TestReplaysInventNothing(t *testing.T) {
	var until time.Time
	seed := uint64(1)
	if length := os.Getenv(replayFor); length != "" {
		d, err := time.ParseDuration(length)
		require.NoError(t, err)
		until, seed = time.Now().Add(d), rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, 1))
	l := newListener(t)
	progress := replayProgress{next: reportReplays}
	for i := 0; i < replays && until.IsZero() || time.Now().Before(until); i++ {
		s := &samples[random.IntN(len(samples))]
		if s.want == "" || s.name == "Memcached's command to Redis" { // whose answer alone shows what it is
			continue
		}
		role := []event.Role{event.RoleClient, event.RoleServer}[random.IntN(2)]
		pieces := piecesWhole(s.turns)
		if !s.datagrams {
			pieces = piecesOf(turnsOf(s), 1+random.IntN(100), random)
		}
		plain := replay(t, l, pieces, s.datagrams, false, role)
		played, joined := disturb(pieces, !s.datagrams, random), random.IntN(4) == 0
		disturbed := replay(t, l, played, s.datagrams, joined, role)
		progress.add(t, len(pieces)+len(played))
		for name, n := range disturbed.ended {
			if !assert.LessOrEqual(t, n, plain.ended[name], "%s: exchanges of %q at role %d, joined %v: %q", s.name, name, role, joined, played) {
				return
			}
		}
	}
}

// TestARequestInLowerCaseIsNoCommandOfMemcached, although both words behind "get" may be keys: what came before it was an answer to another one.
func TestARequestInLowerCaseIsNoCommandOfMemcached(t *testing.T) {
	l := newListener(t)
	pieces := []piece{
		{direction: event.Received, bytes: "HTTP/1.1 40"}, {direction: event.Sent, bytes: "get / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{direction: event.Received, position: 11, bytes: "0 Bad Request\r\n\r\n"},
	}
	assert.Zero(t, replay(t, l, pieces, false, true, event.RoleClient).ended["memcached"])
}

// piecesWhole are the turns as calls: datagrams are not cut.
func piecesWhole(turns []string) (all []piece) {
	var position [event.Directions]uint64
	for i, turn := range turns {
		d := event.Direction(i % 2)
		if turn != "" {
			all = append(all, piece{direction: d, position: position[d], bytes: turn})
			position[d] += uint64(len(turn))
		}
	}
	return all
}
