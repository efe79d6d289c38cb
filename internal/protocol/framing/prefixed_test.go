package framing

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol"
)

var (
	twoBytes = protocol.FrameForm{Header: 2, LengthBytes: 2, TypeAt: -1}                          // DNS
	typed    = protocol.FrameForm{Header: 5, LengthAt: 1, LengthBytes: 4, Bias: -4}               // PostgreSQL
	little   = protocol.FrameForm{Header: 4, LengthBytes: 3, LittleEndian: true, TypeAt: -1}      // MySQL
	all16    = protocol.FrameForm{Header: 16, LengthBytes: 4, LittleEndian: true, Bias: -16}      // MongoDB
	hasMark  = func(b []byte) bool { return len(b) > 2 && b[2] == '!' }                           // for tests of losses
	bodyText = func(m *Prefix) string { return fmt.Sprintf("%q+%d", m.Body, m.Missing) }          // as tests write it
	lossText = map[protocol.Loss]string{protocol.Truncated: " truncated", protocol.Lost: " lost"} // Skipped: nothing
)

// reading follows one direction.
type reading struct {
	p        Prefixed
	position uint64
	found    []string
	last     Prefix // of the message found last
}

func (r *reading) stamp() protocol.Stamp {
	return protocol.Stamp{Time: r.position + 1000, Position: r.position}
}

func (r *reading) message() {
	m := &r.p.Message
	r.found = append(r.found, bodyText(m)+lossText[m.Loss])
	r.last = *m
}

func (r *reading) data(s string) {
	c := protocol.Chunk{Bytes: []byte(s), Stamp: r.stamp()}
	whole := c.Bytes
	for {
		found := r.p.Next(&c)
		if found == Nothing {
			break
		}
		if found == Whole {
			r.message()
		} else {
			r.found = append(r.found, "invalid")
		}
	}
	for i := range whole { // what is kept of the chunk itself is found out
		whole[i] = 0xee
	}
	r.position += uint64(len(s))
}

func (r *reading) gap(n uint64, why protocol.Loss) {
	at := r.stamp()
	at.Time += n
	if r.p.Gap(n, at, why) {
		r.message()
	}
	r.position += n
}

func TestPrefixedMessagesAreFoundInAnyPieces(t *testing.T) {
	for name, test := range map[string]struct {
		form  protocol.FrameForm
		bytes string
		most  int
		want  []string
	}{
		"one":                 {twoBytes, "\x00\x03abc", 100, []string{`"abc"+0`}},
		"two":                 {twoBytes, "\x00\x03abc\x00\x01d", 100, []string{`"abc"+0`, `"d"+0`}},
		"an empty body":       {twoBytes, "\x00\x00\x00\x01d", 100, []string{`""+0`, `"d"+0`}},
		"incomplete":          {twoBytes, "\x00\x03ab", 100, nil},
		"a body that is long": {twoBytes, "\x00\x06abcdef\x00\x01g", 4, []string{`"abcd"+2`, `"g"+0`}},
		"nothing kept":        {twoBytes, "\x00\x06abcdef\x00\x01g", 0, []string{`""+6`, `""+1`}},
		"a type first":        {typed, "Q\x00\x00\x00\x07abcS\x00\x00\x00\x04", 100, []string{`"abc"+0`, `""+0`}},
		"little endian":       {little, "\x03\x00\x00\x07abc", 100, []string{`"abc"+0`}},
		"header in length":    {all16, "\x11\x00\x00\x00" + strings.Repeat("h", 12) + "x", 100, []string{`"x"+0`}},
	} {
		t.Run(name, func(t *testing.T) {
			for piece := 1; piece <= len(test.bytes); piece++ {
				r := reading{p: Prefixed{Form: &test.form, MaxBody: test.most}}
				for rest := test.bytes; rest != ""; {
					n := min(piece, len(rest))
					r.data(rest[:n])
					rest = rest[n:]
				}
				assert.Equal(t, test.want, r.found, "pieces of %d", piece)
				assert.Zero(t, r.p.Unread)
			}
		})
	}
}

func TestGapsInPrefixedMessages(t *testing.T) {
	const lost, cut, skipped = protocol.Lost, protocol.Truncated, protocol.Skipped
	for name, test := range map[string]struct {
		play   func(*reading)
		want   []string
		unread uint64
	}{
		"within a body": {func(r *reading) {
			r.data("\x00\x06ab")
			r.gap(2, cut)
			r.data("ef\x00\x01g")
		}, []string{`"ab"+4 truncated`, `"g"+0`}, 0},
		"the worst of two within a body": {func(r *reading) {
			r.data("\x00\x06ab")
			r.gap(2, lost)
			r.gap(2, cut)
		}, []string{`"ab"+4 lost`}, 0},
		"to the end of a body": {func(r *reading) {
			r.data("\x00\x06ab")
			r.gap(4, lost)
			r.data("\x00\x01g")
		}, []string{`"ab"+4 lost`, `"g"+0`}, 0},
		"what nobody needs": {func(r *reading) {
			r.data("\x00\x08abcdefg")
			r.gap(1, skipped)
			r.data("\x00\x01g")
		}, []string{`"abcdef"+2`, `"g"+0`}, 0},
		"beyond a body": {func(r *reading) {
			r.data("\x00\x06ab")
			r.gap(7, lost)
			r.data("xyz")
			r.data("\x00\x03!ab")
		}, []string{`"ab"+4 lost`, `"!ab"+0`}, 6},
		"within a header": {func(r *reading) {
			r.data("\x00")
			r.gap(1, lost)
			r.data("abc")
			r.data("\x00\x02!a\x00\x01b")
		}, []string{`"!a"+0`, `"b"+0`}, 5},
		"before a header": {func(r *reading) {
			r.gap(100, lost)
			r.data("\x00")
			r.data("\x00\x01!")
		}, []string{`"!"+0`}, 101},
		"twice": {func(r *reading) {
			r.gap(10, lost)
			r.gap(10, cut)
			r.data("\x00\x01!")
		}, []string{`"!"+0`}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			r := reading{p: Prefixed{Form: &twoBytes, MaxBody: 6, Credible: hasMark}}
			test.play(&r)
			assert.Equal(t, test.want, r.found)
			assert.Equal(t, test.unread, r.p.Unread)
		})
	}
}

func TestImpossibleLengthIsReportedOnceACall(t *testing.T) {
	r := reading{p: Prefixed{Form: &typed, MaxBody: 6}}
	r.data("Q\x00\x00\x00\x03abcdefg")
	assert.Equal(t, []string{"invalid"}, r.found)
	assert.EqualValues(t, 12, r.p.Unread)
	r.data("Q\x00\x00\x00\x04")
	assert.Equal(t, []string{"invalid", `""+0`}, r.found)
}

func TestStampsOfPrefixedMessages(t *testing.T) {
	r := reading{p: Prefixed{Form: &twoBytes, MaxBody: 10}}
	r.data("\x00\x01a\x00") // the second message begins at 3
	r.data("\x06bc")
	assert.EqualValues(t, 0, r.p.Skip())
	r.gap(2, protocol.Lost)
	assert.EqualValues(t, 2, r.p.Skip(), "nothing behind a hole is of use")
	r.data("fg")
	assert.EqualValues(t, 3, r.last.First.Position)
	assert.EqualValues(t, 1000, r.last.First.Time)
	assert.EqualValues(t, 10, r.last.Last.Position)
	assert.EqualValues(t, 1009, r.last.Last.Time)
	r.data("\x00\x02a")
	r.gap(3, protocol.Lost)
	assert.EqualValues(t, 14, r.last.Last.Position)
}

func TestSkipIsTheRestOfALongBody(t *testing.T) {
	r := reading{p: Prefixed{Form: &twoBytes, MaxBody: 4}}
	r.data("\x10\x00abc")
	assert.Zero(t, r.p.Skip())
	r.data("def")
	assert.EqualValues(t, 0x1000-6, r.p.Skip())
	r.gap(0x1000-6, protocol.Skipped)
	assert.Equal(t, []string{`"abcd"+4092`}, r.found)
	assert.Zero(t, r.p.Skip())
}

func TestPrefixedMessagesNeedNoAllocation(t *testing.T) {
	p := Prefixed{Form: &twoBytes, MaxBody: 1000}
	message := append([]byte{0, 200}, bytes.Repeat([]byte("x"), 200)...)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, piece := range [][]byte{message, message[:2], message[2:], message[:100], message[100:]} {
			for c := (protocol.Chunk{Bytes: piece}); p.Next(&c) != Nothing; {
				continue
			}
		}
	}))
	assert.LessOrEqual(t, p.Held(), retained)
}

func TestLargeBufferIsGivenBack(t *testing.T) {
	r := reading{p: Prefixed{Form: &twoBytes, MaxBody: 1 << 16}}
	r.data("\xff\xff" + strings.Repeat("x", 0xfff0))
	assert.Greater(t, r.p.Held(), 0xfff0-1)
	r.data(strings.Repeat("x", 0xf))
	r.data("\x00\x01a")
	assert.Zero(t, r.p.Held())
}

// FuzzPrefixed: messages do not depend on where calls end, memory is bounded, and every byte is accounted for.
func FuzzPrefixed(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x01d"), uint64(1), false)
	f.Add([]byte("Q\x00\x00\x00\x07abc"), uint64(2), true)
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, gaps bool) {
		const most = 50
		for _, form := range []*protocol.FrameForm{&twoBytes, &typed, &little, &all16} {
			whole := reading{p: Prefixed{Form: form, MaxBody: most}}
			whole.data(string(b))
			pieces := reading{p: Prefixed{Form: form, MaxBody: most}}
			random := rand.New(rand.NewPCG(seed, 1))
			for rest := string(b); rest != ""; {
				n := min(1+random.IntN(20), len(rest))
				if gaps && random.IntN(4) == 0 {
					pieces.gap(uint64(n), protocol.Loss(random.IntN(3)))
				} else {
					pieces.data(rest[:n])
				}
				rest = rest[n:]
				require.LessOrEqual(t, pieces.p.Held(), 4*most)
				require.LessOrEqual(t, pieces.p.Unread, uint64(len(b)))
			}
			if invalid := strings.Contains(fmt.Sprint(whole.found), "invalid"); !gaps && !invalid {
				require.Equal(t, whole.found, pieces.found)
			}
		}
	})
}
