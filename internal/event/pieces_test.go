package event

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// Forms of frames that exist.
var (
	// RFC 9113, section 4.1.
	http2 = FrameForm{Header: 9, LengthWidth: 3, TypeOffset: 3, Unwanted: 1 << 0}
	// PostgreSQL's protocol, "Message Formats": a type, and a length that counts itself.
	postgres = FrameForm{Header: 5, LengthOffset: 1, LengthWidth: 4, Bias: -4, TypeOffset: 0, Unwanted: 1 << ('D' & 31)}
	// MySQL's protocol, "MySQL Packets": a length, and a number.
	mysql = FrameForm{Header: 4, LengthWidth: 3, LittleEndian: true, TypeOffset: 0xff, Unwanted: 1}
	// One with the longest header.
	longest = FrameForm{Header: 16, LengthOffset: 12, LengthWidth: 4, TypeOffset: 5, Bias: 3, Unwanted: 0x80000002}
)

// frames is a stream of frames, and for each byte whether it is in a body that is not wanted.
type frames struct {
	bytes    []byte
	unwanted []bool
}

func (s *frames) add(form FrameForm, kind uint8, body int, r *rand.Rand) {
	header := make([]byte, form.Header)
	for i := range header {
		header[i] = byte(r.Uint32())
	}
	wanted := form.Unwanted&1 == 0
	if form.TypeOffset < form.Header {
		header[form.TypeOffset] = kind
		wanted = form.Unwanted>>(kind&31)&1 == 0
	}
	var length [4]byte
	n := uint32(body - int(form.Bias))
	at := header[form.LengthOffset : form.LengthOffset+form.LengthWidth]
	if form.LittleEndian {
		binary.LittleEndian.PutUint32(length[:], n)
		copy(at, length[:])
	} else {
		binary.BigEndian.PutUint32(length[:], n)
		copy(at, length[4-form.LengthWidth:])
	}
	s.bytes = append(s.bytes, header...)
	s.unwanted = append(s.unwanted, make([]bool, len(header))...)
	for range body {
		s.bytes = append(s.bytes, byte(r.Uint32()))
		s.unwanted = append(s.unwanted, !wanted)
	}
}

// kernelModel does to a stream what bpf/gather.h and bpf/payload.h do.
type kernelModel struct {
	form     FrameForm
	known    bool
	next     uint64
	header   []byte
	unwanted bool
}

// call returns the events of a call that transfers b from a position on, with at most limit bytes captured, and most in an event.
func (k *kernelModel) call(b []byte, position uint64, limit, most int) (all []Data) {
	for i := 0; i < len(b) || len(all) == 0; {
		d := Data{Position: position + uint64(i)}
		if k.known {
			d.Form, d.Frame, d.FrameUnwanted = k.form, k.next, k.unwanted
			if len(k.header) > 0 {
				d.Frame, d.FrameLead, d.FrameUnwanted = FrameUnknown, k.form.Header-uint8(len(k.header)), false
			}
		}
		room, begin := min(limit, most), i
		for i < len(b) {
			at := position + uint64(i)
			inBody := k.known && len(k.header) == 0 && at < k.next
			if inBody && k.unwanted {
				i++
				continue
			}
			if len(d.Payload) == room {
				break
			}
			d.Payload = append(d.Payload, b[i])
			i++
			if k.known && !inBody {
				k.headerByte(b[i-1], &d)
			}
		}
		limit -= len(d.Payload)
		d.Length = uint32(i - begin)
		if limit == 0 {
			d.Length = uint32(len(b) - begin)
			for ; i < len(b); i++ {
				if at := position + uint64(i); k.known && (len(k.header) > 0 || at >= k.next) {
					k.headerByte(b[i], &Data{})
				}
			}
		}
		all = append(all, d)
	}
	return all
}

func (k *kernelModel) headerByte(b byte, d *Data) {
	if k.header = append(k.header, b); len(k.header) < int(k.form.Header) {
		return
	}
	body, wanted, ok := k.form.Body(k.header)
	k.next += uint64(k.form.Header) + body
	k.header, k.unwanted, k.known = nil, !wanted, ok
	if ok && d.Frame == FrameUnknown {
		d.Frame, d.FrameUnwanted = k.next, k.unwanted
	}
}

// checkPieces compares pieces with the stream, and returns how many of its bytes they have, and how many were cut.
func checkPieces(t *testing.T, d *Data, s *frames) (captured, cut int) {
	t.Helper()
	at := d.Position + uint64(d.Skipped)
	pieces := d.Pieces()
	for p, ok := pieces.Next(); ok; p, ok = pieces.Next() {
		if p.Position != at {
			t.Fatalf("a piece at %d, want %d", p.Position, at)
		}
		if !bytes.Equal(p.Bytes, s.bytes[at:at+uint64(len(p.Bytes))]) {
			t.Fatalf("%d bytes at %d are others than those of the stream", len(p.Bytes), at)
		}
		captured += len(p.Bytes)
		if p.Unwanted && bytes.Contains(boolBytes(s.unwanted[at:at+p.Gap]), []byte{0}) {
			t.Fatalf("%d bytes at %d were left out, and some of them are wanted", p.Gap, at)
		}
		if !p.Unwanted {
			cut += int(p.Gap)
		}
		at += uint64(len(p.Bytes)) + p.Gap
	}
	if end := d.Position + uint64(d.Length); at != end {
		t.Fatalf("the pieces end at %d, want %d", at, end)
	}
	if captured != len(d.Payload) {
		t.Fatalf("the pieces have %d bytes of %d", captured, len(d.Payload))
	}
	return captured, cut
}

func boolBytes(all []bool) []byte {
	out := make([]byte, len(all))
	for i, b := range all {
		if b {
			out[i] = 1
		}
	}
	return out
}

func replay(t *testing.T, form FrameForm, seed uint64, limited bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	var s frames
	first := r.IntN(30)
	for range first {
		s.bytes, s.unwanted = append(s.bytes, byte(r.Uint32())), append(s.unwanted, false)
	}
	for range 1 + r.IntN(12) {
		s.add(form, uint8(r.IntN(40)*r.IntN(2)), max(0, int(form.Bias))+r.IntN(1+r.IntN(400)), r)
	}
	want := 0
	for _, u := range s.unwanted {
		if !u {
			want++
		}
	}
	k := kernelModel{form: form, known: true, next: uint64(first)}
	captured, cut, most := 0, 0, 1+r.IntN(200)
	for at := 0; at < len(s.bytes); {
		n := 1 + r.IntN(1+r.IntN(300))
		n = min(n, len(s.bytes)-at)
		limit := 1 << 20
		if limited {
			limit = r.IntN(50)
		}
		for _, d := range k.call(s.bytes[at:at+n], uint64(at), limit, most) {
			c, missing := checkPieces(t, &d, &s)
			captured, cut = captured+c, cut+missing
		}
		at += n
	}
	if !limited && (captured != want || cut != 0) {
		t.Fatalf("%d bytes captured and %d cut, want %d and none", captured, cut, want)
	}
}

// TestPiecesAreTheStreamWithoutUnwantedBodies: whatever calls and events a stream is split into, all bytes come at their positions.
func TestPiecesAreTheStreamWithoutUnwantedBodies(t *testing.T) {
	for name, form := range map[string]FrameForm{"HTTP/2": http2, "PostgreSQL": postgres, "MySQL": mysql, "longest": longest} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2000) {
				replay(t, form, seed, seed%2 == 1)
			}
		})
	}
}

// TestPiecesOfDataWithoutFrames: the payload, and what was cut.
func TestPiecesOfDataWithoutFrames(t *testing.T) {
	s := frames{bytes: []byte("0123456789"), unwanted: make([]bool, 10)}
	for name, test := range map[string]struct {
		data          Data
		captured, cut int
	}{
		"whole":   {Data{Length: 10, Payload: s.bytes}, 10, 0},
		"skipped": {Data{Position: 2, Length: 8, Skipped: 3, Payload: s.bytes[5:]}, 5, 0},
		"cut":     {Data{Length: 10, Payload: s.bytes[:4]}, 4, 6},
		"nothing": {Data{Length: 10}, 0, 10},
	} {
		t.Run(name, func(t *testing.T) {
			if captured, cut := checkPieces(t, &test.data, &s); captured != test.captured || cut != test.cut {
				t.Errorf("%d captured and %d cut, want %d and %d", captured, cut, test.captured, test.cut)
			}
		})
	}
}

func TestPiecesAllocateNothing(t *testing.T) {
	var s frames
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		s.add(http2, 0, 100, r)
		s.add(http2, 1, 20, r)
	}
	k := kernelModel{form: http2, known: true}
	d := k.call(s.bytes, 0, 1<<20, 1<<20)[0]
	if n := testing.AllocsPerRun(100, func() {
		pieces := d.Pieces()
		for _, ok := pieces.Next(); ok; _, ok = pieces.Next() {
			continue
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// FuzzPieces: whatever an event claims, the walk ends, and its pieces are next to each other.
func FuzzPieces(f *testing.F) {
	f.Add(uint64(0), uint32(40), uint32(0), []byte("\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00ab"), uint64(0), uint8(0), false, uint8(9), uint8(3), int8(0))
	f.Add(uint64(7), uint32(40), uint32(3), []byte("abcdefgh"), uint64(20), uint8(4), true, uint8(5), uint8(4), int8(-4))
	f.Fuzz(func(t *testing.T, position uint64, length, skipped uint32, payload []byte, frame uint64, lead uint8, unwanted bool, header, width uint8, bias int8) {
		d := Data{
			Position: position % (1 << 62), Length: length, Skipped: skipped, Payload: payload, Frame: frame, FrameLead: lead, FrameUnwanted: unwanted,
			Form: FrameForm{Header: header, LengthWidth: width, Bias: bias, Unwanted: 1},
		}
		if uint64(skipped)+uint64(len(payload)) > uint64(length) || !d.Form.Valid() {
			return
		}
		at, count := d.Position+uint64(skipped), 0
		pieces := d.Pieces()
		for p, ok := pieces.Next(); ok; p, ok = pieces.Next() {
			if p.Position != at || (p.Gap == 0) != (len(p.Bytes) > 0) {
				t.Fatalf("piece %+v at %d", p, at)
			}
			at += uint64(len(p.Bytes)) + p.Gap
			if count++; count > 2*len(payload)+3 {
				t.Fatal("more pieces than bytes")
			}
		}
		if at != d.Position+uint64(length) {
			t.Fatalf("the pieces end at %d, want %d", at, d.Position+uint64(length))
		}
	})
}
