package trace

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

const millisecond = 1_000_000

// The two ends of an exchange.
var (
	theAsker = Sighting{Key: 5, Asks: true, Start: 1000 * millisecond, End: 1100 * millisecond, Asker: 1, Asked: 2}
	theAsked = Sighting{Key: 5, Start: 1001 * millisecond, End: 1099 * millisecond, Asker: 1, Asked: 2}
)

func TestBothEndsOfAnExchangeMeet(t *testing.T) {
	for name, test := range map[string]struct {
		change func(asked *Sighting)
		met    bool
	}{
		"same":                                        {func(*Sighting) {}, true},
		"address of the asked not known":              {func(s *Sighting) { s.Asked = 0 }, true},
		"address of the asker not known":              {func(s *Sighting) { s.Asker = 0 }, true},
		"received before the call that sent returned": {func(s *Sighting) { s.Start = 995 * millisecond }, true},
		"received as the asker gave up":               {func(s *Sighting) { s.Start, s.End = 1105*millisecond, 9000*millisecond }, true},
		"asked for another thing":                     {func(s *Sighting) { s.Key = 6 }, false},
		"asked for another thing that has the same place in the table": {func(s *Sighting) { s.Key = 5 + parts*bucketsEach }, false},
		"asks, too":             {func(s *Sighting) { s.Asks = true }, false},
		"another asker":         {func(s *Sighting) { s.Asker = 3 }, false},
		"another one was asked": {func(s *Sighting) { s.Asked = 3 }, false},
		"earlier":               {func(s *Sighting) { s.Start = 900 * millisecond }, false},
		"later":                 {func(s *Sighting) { s.Start, s.End = 1200*millisecond, 1300*millisecond }, false},
	} {
		asked := theAsked
		test.change(&asked)
		for _, order := range [][2]Sighting{{theAsker, asked}, {asked, theAsker}} {
			m := NewMeetings(7)
			first, second := m.Meet(&order[0]), m.Meet(&order[1])
			assert.Equal(t, test.met, first == second, name)
			assert.NotEqual(t, second, m.Meet(&order[0]), "%s: they meet once", name)
			assert.NotEqual(t, second, m.Meet(&order[1]), "%s: they meet once", name)
		}
	}
}

func TestEndWithTwoCandidatesMeetsNeither(t *testing.T) {
	m := NewMeetings(7)
	first, second := m.Meet(&theAsker), m.Meet(&theAsker)
	asked := m.Meet(&theAsked)
	assert.NotEqual(t, first, second)
	assert.NotContains(t, []Pair{first, second}, asked)
}

// asking is the end that asks as soon as it has asked.
func asking() *Sighting {
	s := theAsker
	s.End = 0
	return &s
}

func TestEndThatAsksMeetsBeforeItHasAnAnswer(t *testing.T) {
	later := theAsked
	later.Start, later.End = 1200*millisecond, 1300*millisecond

	m := NewMeetings(7)
	assert.Equal(t, m.Meet(asking()), m.Meet(&later), "it goes on for as long as nothing else is known")
	assert.Zero(t, m.End(&theAsker), "what both know stays")

	m = NewMeetings(7)
	first := m.Meet(asking())
	assert.Zero(t, m.End(&theAsker))
	assert.NotEqual(t, first, m.Meet(&later), "it was over by then")

	m = NewMeetings(7)
	asked := m.Meet(&theAsked)
	assert.Equal(t, asked, m.Meet(asking()), "its shard was behind")
}

func TestEndThatHadToMakeRoomMeetsWhenItIsOver(t *testing.T) {
	m := NewMeetings(7)
	first := m.Meet(asking())
	for i := range Key(bucketSize) {
		other := asking()
		other.Key += (1 + i) * parts * bucketsEach
		m.Meet(other)
	}
	asked := m.Meet(&theAsked)
	assert.NotEqual(t, first, asked)
	assert.Equal(t, asked, m.End(&theAsker))
	assert.Zero(t, m.End(&theAsker), "they meet once")
}

func TestEndsThatWaitedLongestMakeRoom(t *testing.T) {
	m := NewMeetings(7)
	var first, last Pair
	for i := range Key(bucketSize + 1) {
		s := theAsker
		s.Key += i * parts * bucketsEach
		pair := m.Meet(&s)
		if i == 0 {
			first = pair
		}
		last = pair
	}
	assert.NotEqual(t, first, m.Meet(&theAsked))
	next := theAsked
	next.Key += bucketSize * parts * bucketsEach
	assert.Equal(t, last, m.Meet(&next), "the last one waits")
}

func TestMeetingsDoNotAllocate(t *testing.T) {
	m := NewMeetings(7)
	asker, asked := theAsker, theAsked
	if got := testing.AllocsPerRun(100, func() {
		m.Meet(&asker)
		m.Meet(&asked)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestStartsGiveOtherPairs(t *testing.T) {
	assert.NotEqual(t, NewMeetings(7).Meet(&theAsker), NewMeetings(8).Meet(&theAsker))
}

func TestAddressesOfMeetings(t *testing.T) {
	a, b := AddressOf(netip.MustParseAddr("10.0.0.1")), AddressOf(netip.MustParseAddr("10.0.0.2"))
	assert.NotZero(t, a)
	assert.NotEqual(t, a, b)
	for _, any := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		assert.Zero(t, AddressOf(any), any)
	}
	key := Key(1)
	assert.NotEqual(t, key.WithAddress(netip.MustParseAddrPort("10.0.0.1:5")), key.WithAddress(netip.MustParseAddrPort("10.0.0.1:6")))
	assert.NotEqual(t, key.With(1).With(2), key.With(2).With(1), "who asks matters")
}

// TestConcurrentMeetings is for the race detector, and shows that each pair is of one exchange.
func TestConcurrentMeetings(t *testing.T) {
	const exchanges = 1000
	m := NewMeetings(7)
	var pairs [2][exchanges]Pair
	var all sync.WaitGroup
	for end, s := range []Sighting{theAsker, theAsked} {
		all.Go(func() {
			for i := range exchanges {
				s.Key = Key(1 + i)
				pairs[end][i] = m.Meet(&s)
			}
		})
	}
	all.Wait()
	assert.Equal(t, pairs[0], pairs[1])
	seen := map[Pair]bool{}
	for _, p := range pairs[0] {
		seen[p] = true
	}
	assert.Len(t, seen, exchanges)
}

func BenchmarkMeet(b *testing.B) {
	m := NewMeetings(7)
	asker, asked := theAsker, theAsked
	b.ReportAllocs()
	for b.Loop() {
		asker.Key = asker.Key.With(1)
		asked.Key = asker.Key
		m.Meet(&asker)
		m.Meet(&asked)
	}
}

// TestAConnectionTakesTheAddressesOfOneWhoseEndIsNotKnown, as a client does that the kernel gives the port of an earlier one.
func TestAConnectionTakesTheAddressesOfOneWhoseEndIsNotKnown(t *testing.T) {
	m := NewMeetings(7)
	earlier := asking()
	earlier.Start -= 500 * millisecond
	m.Meet(earlier)
	assert.Equal(t, m.Meet(asking()), m.Meet(&theAsked))
}

func TestWhatIsForgottenMeetsNobody(t *testing.T) {
	m := NewMeetings(7)
	first := m.Meet(asking())
	m.Forget(asking())
	assert.NotEqual(t, first, m.Meet(&theAsked))
}
