package pending

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// letter is an item of the tests.
type letter struct {
	number int
	text   []byte
}

// scene is a Queue, the waits of its keys, and a record of its calls.
type scene struct {
	*Queue[string, letter]
	t     *testing.T
	waits map[string]*Wait[string, letter]
	said  []string
	now   uint64
}

var wide = Limits{Time: time.Second, Items: 100, Bytes: 1 << 20}

func newScene(t *testing.T, limits Limits, budget *Budget, reminders ...time.Duration) *scene {
	t.Helper()
	s := &scene{t: t, waits: map[string]*Wait[string, letter]{}, now: 1000 * uint64(time.Millisecond)}
	o := Options[string, letter]{
		Limits: limits, Budget: budget,
		Payload: func(l *letter) *[]byte { return &l.text },
		GivenUp: func(key string, cause Cause) {
			delete(s.waits, key)
			s.said = append(s.said, fmt.Sprintf("%s given up: %s", key, causeNames[cause]))
		},
		Next: func(key string, l *letter) { s.said = append(s.said, fmt.Sprintf("%s%d %s", key, l.number, l.text)) },
	}
	for i, after := range reminders {
		o.Reminders = append(o.Reminders, Reminder[string]{after, func(key string) {
			s.said = append(s.said, fmt.Sprintf("%s reminder %d", key, i))
		}})
	}
	q, err := New(o)
	require.NoError(t, err)
	s.Queue = q
	s.Advance(s.now)
	return s
}

var causeNames = [Causes]string{"timeout", "ended", "key_bound", "total_bound", "evicted", "replaced", "flushed"}

func newBudget(t *testing.T, items, bytes int) *Budget {
	t.Helper()
	b, err := NewBudget(items, bytes)
	require.NoError(t, err)
	return b
}

// add adds an item of a key and then overwrites the item's memory. An item of a key that does not wait goes on at once.
func (s *scene) add(key string, number int, text string) {
	l := letter{number, []byte(text)}
	if w := s.waits[key]; w != nil {
		s.Add(w, &l)
	} else {
		s.said = append(s.said, fmt.Sprintf("%s%d %s", key, number, text))
	}
	copy(l.text, strings.Repeat("!", len(text)))
}

func (s *scene) start(keys ...string) {
	for _, key := range keys {
		s.waits[key] = s.Start(key)
	}
}

func (s *scene) complete(key string) {
	w := s.waits[key]
	delete(s.waits, key)
	s.Complete(w)
}

// pass lets time pass, a millisecond at a time.
func (s *scene) pass(d time.Duration) {
	for end := s.now + uint64(d); s.now < end; {
		s.now += uint64(time.Millisecond)
		s.Tick(s.now)
	}
}

// take returns the calls since the last take.
func (s *scene) take() []string {
	said := s.said
	s.said = nil
	return said
}

func (s *scene) assertEmpty() {
	s.t.Helper()
	assert.False(s.t, s.Waiting())
	assert.Zero(s.t, s.Stats().Keys.Load())
	assert.Zero(s.t, s.Stats().Items.Load())
	assert.Zero(s.t, s.Stats().Bytes.Load())
	items, bytes := s.opts.Budget.InUse()
	assert.Zero(s.t, items)
	assert.Zero(s.t, bytes)
	for _, w := range s.due {
		assert.Nil(s.t, w)
	}
}

func TestItemsGoOnInTheOrderInWhichTheyCame(t *testing.T) {
	s := newScene(t, wide, newBudget(t, 100, 1<<20))
	s.start("a", "b")
	for i := range 5 {
		s.add("a", i, strings.Repeat("x", i*50))
		s.add("b", i, "y")
	}
	assert.Empty(t, s.take())
	assert.EqualValues(t, 2, s.Stats().Keys.Load())
	assert.EqualValues(t, 10, s.Stats().Items.Load())
	assert.EqualValues(t, 5*64+64+128+256+256, s.Stats().Bytes.Load())
	s.complete("b")
	assert.Equal(t, []string{"b0 y", "b1 y", "b2 y", "b3 y", "b4 y"}, s.take(), "others do not hold it up")
	s.complete("a")
	got := s.take()
	require.Len(t, got, 5)
	for i := range got {
		assert.Equal(t, fmt.Sprintf("a%d %s", i, strings.Repeat("x", i*50)), got[i])
	}
	s.assertEmpty()
	for cause := range Causes {
		assert.Zero(t, s.Stats().GivenUp[cause].Load())
	}
}

func TestBoundThatBitesHandsOnAllItemsAndIsCounted(t *testing.T) {
	large := strings.Repeat("b", 65)
	for name, test := range map[string]struct {
		limits       Limits
		items, bytes int // of all
		add          func(*scene)
		cause        Cause
		want         []string
	}{
		"items of a key": {
			Limits{time.Second, 2, 1 << 20}, 100, 1 << 20,
			func(s *scene) { s.add("a", 0, "x"); s.add("b", 0, "x"); s.add("a", 1, "y"); s.add("a", 2, "z") },
			CauseKeyBound, []string{"a given up: key_bound", "a0 x", "a1 y", "a2 z"},
		},
		"bytes of a key": {
			Limits{time.Second, 100, 128}, 100, 1 << 20,
			func(s *scene) { s.add("a", 0, "x"); s.add("b", 0, large); s.add("a", 1, large) },
			CauseKeyBound, []string{"a given up: key_bound", "a0 x", "a1 " + large},
		},
		"items of all": {
			wide, 2, 1 << 20,
			func(s *scene) { s.add("a", 0, "x"); s.add("b", 0, "y"); s.add("b", 1, "z"); s.add("a", 1, "w") },
			CauseTotalBound, []string{"b given up: total_bound", "b0 y", "b1 z"},
		},
		"bytes of all": {
			wide, 100, 128,
			func(s *scene) { s.add("a", 0, "x"); s.add("b", 0, "y"); s.add("b", 1, "z"); s.add("a", 1, "w") },
			CauseTotalBound, []string{"b given up: total_bound", "b0 y", "b1 z"},
		},
		"not one item": {
			Limits{time.Second, 1, 64}, 100, 1 << 20,
			func(s *scene) { s.add("a", 0, large) },
			CauseKeyBound, []string{"a given up: key_bound", "a0 " + large},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, test.limits, newBudget(t, test.items, test.bytes))
			s.start("a", "b")
			test.add(s)
			assert.Equal(t, test.want, s.take())
			for cause := range Causes {
				want := uint64(0)
				if cause == test.cause {
					want = 1
				}
				assert.Equal(t, want, s.Stats().GivenUp[cause].Load())
			}
			s.Flush()
			s.assertEmpty()
		})
	}
}

func TestBudgetIsOfSeveralQueues(t *testing.T) {
	budget := newBudget(t, 2, 1<<20)
	one, two := newScene(t, wide, budget), newScene(t, wide, budget)
	one.start("a")
	two.start("b")
	one.add("a", 0, "x")
	two.add("b", 0, "y")
	two.add("b", 1, "z")
	assert.Equal(t, []string{"b given up: total_bound", "b0 y", "b1 z"}, two.take())
	two.start("b")
	two.add("b", 2, "w")
	assert.Empty(t, two.take(), "there is room again")
	one.complete("a")
	two.complete("b")
	one.assertEmpty()
	two.assertEmpty()
}

func TestKeyIsGivenUpWhenItsTimeIsUp(t *testing.T) {
	s := newScene(t, Limits{100 * time.Millisecond, 100, 1 << 20}, newBudget(t, 100, 1<<20))
	s.start("a")
	s.add("a", 0, "x")
	s.pass(50 * time.Millisecond)
	s.start("b")
	s.pass(49 * time.Millisecond)
	assert.Empty(t, s.take())
	s.pass(time.Millisecond)
	assert.Equal(t, []string{"a given up: timeout", "a0 x"}, s.take())
	assert.Equal(t, uint64(100*time.Millisecond), s.Stats().Waited.Load())
	s.pass(50 * time.Millisecond)
	assert.Equal(t, []string{"b given up: timeout"}, s.take())
	assert.EqualValues(t, 2, s.Stats().GivenUp[CauseTimeout].Load())
	s.assertEmpty()
}

func TestTimeDoesNotGoBack(t *testing.T) {
	s := newScene(t, wide, newBudget(t, 100, 1<<20))
	s.Advance(s.now - 1)
	assert.Equal(t, s.now, s.Now())
	s.start("a")
	s.Tick(1)
	assert.Empty(t, s.take())
}

func TestRemindersAreCalledOnceForEachKeyThatStillWaits(t *testing.T) {
	s := newScene(t, wide, newBudget(t, 100, 1<<20), 20*time.Millisecond, 750*time.Millisecond)
	s.start("a", "b", "c", "d")
	s.complete("a")
	s.complete("c")
	s.pass(19 * time.Millisecond)
	assert.Empty(t, s.take())
	s.pass(time.Millisecond)
	assert.Equal(t, []string{"b reminder 0", "d reminder 0"}, s.take())
	s.start("e")
	s.complete("b")
	s.pass(740 * time.Millisecond)
	assert.Equal(t, []string{"e reminder 0", "d reminder 1"}, s.take())
	s.pass(time.Second)
	assert.Equal(t, []string{"e reminder 1", "d given up: timeout", "e given up: timeout"}, s.take())
	s.assertEmpty()
}

func TestReminderMayGiveUpItsKey(t *testing.T) {
	s := newScene(t, wide, newBudget(t, 100, 1<<20), time.Millisecond)
	s.opts.Reminders[0].Call = func(key string) { s.GiveUp(s.waits[key], CauseEnded) }
	s.start("a", "b")
	s.add("b", 0, "x")
	s.pass(time.Millisecond)
	assert.Equal(t, []string{"a given up: ended", "b given up: ended", "b0 x"}, s.take())
	s.assertEmpty()
}

func TestFlushGivesUpTheOldestFirst(t *testing.T) {
	s := newScene(t, wide, newBudget(t, 100, 1<<20))
	s.start("a", "b", "c")
	s.add("c", 0, "x")
	s.GiveUp(s.waits["b"], CauseReplaced)
	s.Flush()
	assert.Equal(t, []string{"b given up: replaced", "a given up: flushed", "c given up: flushed", "c0 x"}, s.take())
	assert.EqualValues(t, 2, s.Stats().GivenUp[CauseFlushed].Load())
	s.assertEmpty()
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := NewBudget(0, 1)
	assert.ErrorContains(t, err, "above 0")
	_, err = New(Options[string, letter]{})
	assert.ErrorContains(t, err, "an option is missing")
	o := newScene(t, wide, newBudget(t, 1, 1)).opts
	o.Limits.Time = 0
	_, err = New(o)
	assert.ErrorContains(t, err, "above 0")
}

func TestOldestItem(t *testing.T) {
	s := newScene(t, wide, newBudget(t, 10, 1000))
	assert.Nil(t, s.Oldest())
	s.start("a", "b")
	assert.Nil(t, s.Oldest(), "nothing of it waits yet")
	s.add("b", 1, "")
	s.add("a", 2, "")
	s.add("a", 3, "")
	require.NotNil(t, s.Oldest())
	assert.Equal(t, 2, s.Oldest().number, "a has waited for longer")
	s.complete("a")
	assert.Equal(t, 1, s.Oldest().number)
	s.complete("b")
	assert.Nil(t, s.Oldest())
	s.assertEmpty()
}
