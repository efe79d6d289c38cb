package framing

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// readLines reads a stream in pieces of n bytes.
func readLines(stream string, n, limit int) (lines []Line, r Lines) {
	r = NewLines(&Pool{})
	for at := 0; at < len(stream); at += n {
		c := protocol.Chunk{Bytes: []byte(stream[at:min(at+n, len(stream))]), Stamp: protocol.Stamp{Position: uint64(at), Time: uint64(at)}}
		for i := 0; i < len(c.Bytes); {
			var l Line
			taken, complete := r.Read(&c, i, limit, &l)
			if i += taken; complete {
				l.Bytes = bytes.Clone(l.Bytes)
				lines = append(lines, l)
			}
		}
	}
	return lines, r
}

func TestLinesAreTheSameHoweverTheyAreCut(t *testing.T) {
	type line struct {
		text   string
		length uint64
		start  uint64
	}
	for stream, want := range map[string][]line{
		"a\r\nbc\n\r\n\nrest":        {{"a", 1, 0}, {"bc", 2, 3}, {"", 0, 6}, {"", 0, 8}},
		"12345678\r\n":               {{"12345678", 8, 0}},
		"123456789\r\nx\n":           {{"12345678", 9, 0}, {"x", 1, 11}},
		"1234567890123456789\nx\r\n": {{"12345678", 19, 0}, {"x", 1, 20}},
		"a\rb\r\r\n":                 {{"a\rb\r", 4, 0}},
		"1234567\r\r\n":              {{"1234567\r", 8, 0}},
	} {
		for n := 1; n <= len(stream); n++ {
			got, r := readLines(stream, n, 8)
			for i, l := range got {
				if i >= len(want) || string(l.Bytes) != want[i].text || l.Length != want[i].length || l.Start.Position != want[i].start {
					t.Errorf("%q in pieces of %d: line %d is %q, %d bytes at %d", stream, n, i, l.Bytes, l.Length, l.Start.Position)
				}
			}
			if len(got) != len(want) || r.Begun() != strings.HasSuffix(stream, "rest") {
				t.Errorf("%q in pieces of %d: %d lines", stream, n, len(got))
			}
		}
	}
}

func TestBodyReadsItsBeginningAcrossPiecesAndGaps(t *testing.T) {
	const stream = "0123456789"
	for _, want := range []int{0, 1, 4, 10, 99} {
		for gapAt := 0; gapAt <= len(stream); gapAt++ {
			for gap := 0; gapAt+gap <= len(stream); gap++ {
				for n := 1; n <= len(stream); n++ {
					b := NewBody(&Pool{})
					b.Begin(uint64(len(stream)), want)
					var value []byte
					ended := 0
					data := func(s string) {
						for len(s) > 0 {
							v, taken, complete := b.Data([]byte(s[:min(n, len(s))]))
							if s = s[taken:]; complete {
								value = bytes.Clone(v)
								ended++
							}
						}
					}
					data(stream[:gapAt])
					if gap > 0 {
						v, taken, complete := b.Gap(uint64(gap))
						if complete {
							value = bytes.Clone(v)
							ended++
						}
						if taken != uint64(gap) {
							t.Fatalf("%d of %d bytes taken", taken, gap)
						}
					}
					data(stream[gapAt+gap:])
					known := stream[:min(want, len(stream))]
					if gap > 0 {
						known = known[:min(len(known), gapAt)]
					}
					if ended != 1 || string(value) != known || b.Held() != 0 {
						t.Fatalf("want %d, gap of %d at %d, pieces of %d: %q, ended %d times", want, gap, gapAt, n, value, ended)
					}
				}
			}
		}
	}
}

func TestBodySkipsWhatIsNotWanted(t *testing.T) {
	b := NewBody(&Pool{})
	b.Begin(1<<40, 3)
	b.Data([]byte("ab"))
	if b.Skip() != 0 {
		t.Error("bytes that are wanted are skipped")
	}
	b.Data([]byte("cd"))
	if b.Skip() != 1<<40-4 {
		t.Errorf("%d bytes are skipped", b.Skip())
	}
	if v, n, complete := b.Gap(1 << 41); string(v) != "abc" || n != 1<<40-4 || !complete {
		t.Errorf("%q, %d, %t", v, n, complete)
	}
}

func TestCarryIsBoundedAndCountsWhatIsBeyond(t *testing.T) {
	pool := &Pool{}
	c := NewCarry(pool)
	first := protocol.Stamp{Position: 5, Time: 1}
	c.Add([]byte("abc"), 5, &first)
	c.Add([]byte("defgh"), 5, &protocol.Stamp{Position: 8, Time: 2})
	c.Miss(10, &protocol.Stamp{})
	c.Add([]byte("x"), 50, &protocol.Stamp{})
	if string(c.Bytes()) != "abcde" || c.Length() != 19 || *c.Start() != first {
		t.Errorf("%q, %d bytes from %+v", c.Bytes(), c.Length(), c.Start())
	}
	c.Reset()
	if c.Held() != 0 || !c.Empty() || len(pool.free) != 1 {
		t.Error("the buffer is not given back")
	}
	c.Add(make([]byte, 2*MaxIdle), 2*MaxIdle, &first)
	c.Reset()
	if len(pool.free) != 0 {
		t.Error("a large buffer is kept")
	}
}

func TestLinesNeedNoAllocation(t *testing.T) {
	r := NewLines(&Pool{})
	half, rest := protocol.Chunk{Bytes: []byte("abc")}, protocol.Chunk{Bytes: []byte("def\r\n")}
	var l Line
	if n := testing.AllocsPerRun(100, func() {
		r.Read(&half, 0, 64, &l)
		r.Read(&rest, 0, 64, &l)
	}); n != 0 {
		t.Errorf("%v allocations for a line", n)
	}
}

// FuzzLines compares lines that are read in pieces with those of the whole.
func FuzzLines(f *testing.F) {
	f.Add("a\r\nbb\n\r\r\n", uint8(1), uint8(3))
	f.Add("\n\n\r\n12345678901234567890\n", uint8(4), uint8(5))
	f.Fuzz(func(t *testing.T, stream string, n, limit uint8) {
		if n == 0 {
			return
		}
		whole, _ := readLines(stream, max(len(stream), 1), int(limit))
		pieces, r := readLines(stream, int(n), int(limit))
		if len(whole) != len(pieces) || r.Held() > 2*(int(limit)+1)+64 {
			t.Fatalf("%d lines, %d in pieces; %d bytes held", len(whole), len(pieces), r.Held())
		}
		for i := range whole {
			if a, b := whole[i], pieces[i]; !bytes.Equal(a.Bytes, b.Bytes) || a.Length != b.Length {
				t.Errorf("%q, in pieces %q", a.Bytes, b.Bytes)
			}
		}
	})
}
