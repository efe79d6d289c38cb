//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// piece is what is expected of a walk over the data of a direction.
type piece struct {
	text     string // empty: a gap
	gap      int
	unwanted bool
}

func (w *wire) pieces(end int, d event.Direction) (all []piece) {
	for i := range w.emitted[end][d] {
		pieces := w.emitted[end][d][i].Pieces()
		for p, ok := pieces.Next(); ok; p, ok = pieces.Next() {
			all = append(all, piece{string(p.Bytes), int(p.Gap), p.Unwanted})
		}
	}
	return all
}

// TestWantedFrames: of a connection without a signature, user space says where a frame begins, and what is not wanted.
func TestWantedFrames(t *testing.T) {
	// A type, and a length of two bytes.
	form := event.FrameForm{Header: 3, LengthOffset: 1, LengthWidth: 2, TypeOffset: 0, Unwanted: 1 << 1}
	other := form
	other.Unwanted = 1 << 2
	big := bytes.Repeat([]byte("*"), testLimit)
	const first, second = "\x01\x00\x04aaaa", "\x02\x00\x04bbbb"
	want := func(w *wire, form event.FrameForm, next uint64) {
		want := event.Want{Limit: [event.Directions]uint32{100, 100}, Burst: 1000}
		want.Form[event.Sent], want.Next[event.Sent] = form, next
		w.tracer.Want(w.cookies[atClient], want)
	}
	send := func(w *wire, text string) {
		w.send([]byte(text))
		w.receive(len(text))
	}
	var beyondBurst []piece // ten frames of a hundred bytes, of each of which the last three are beyond the limit of a call
	for range 10 {
		beyondBurst = append(beyondBurst, piece{"\x03\x00\x64" + string(big[:97]), 0, false}, piece{"", 3, false})
	}
	for name, test := range map[string]struct {
		calls func(w *wire)
		want  []piece
	}{
		"from the beginning": {
			func(w *wire) { want(w, form, 0); send(w, first+second) },
			[]piece{{"\x01\x00\x04", 0, false}, {"", 4, true}, {second, 0, false}},
		},
		"types by their lowest five bits": {
			func(w *wire) { want(w, form, 0); send(w, "A\x00\x04aaaab\x00\x04bbbba\x00\x04aaaa") },
			[]piece{{"A\x00\x04", 0, false}, {"", 4, true}, {"b\x00\x04bbbba\x00\x04", 0, false}, {"", 4, true}},
		},
		"from the middle of a call": {
			func(w *wire) { want(w, form, 4); send(w, "rest"+first+second) },
			[]piece{{"rest\x01\x00\x04", 0, false}, {"", 4, true}, {second, 0, false}},
		},
		"too late": {
			func(w *wire) { send(w, first); want(w, form, 0); send(w, first) },
			[]piece{{first, 0, false}, {first, 0, false}},
		},
		"later, and in a later call": {
			func(w *wire) { send(w, first); want(w, form, 14); send(w, first); send(w, first) },
			[]piece{{first, 0, false}, {first, 0, false}, {"\x01\x00\x04", 0, false}, {"", 4, true}},
		},
		"other types are not wanted any more": {
			func(w *wire) { want(w, form, 0); send(w, first+second); want(w, other, 0); send(w, first+second) },
			[]piece{
				{"\x01\x00\x04", 0, false}, {"", 4, true}, {second, 0, false}, {first + "\x02\x00\x04", 0, false}, {"", 4, true},
			},
		},
		"there are no frames": {
			func(w *wire) {
				want(w, form, 0)
				send(w, first)
				want(w, event.FrameForm{Header: event.NoFrames}, 0)
				send(w, first)
			},
			[]piece{{"\x01\x00\x04", 0, false}, {"", 4, true}, {first, 0, false}},
		},
		"the end of a long call is cut": {
			func(w *wire) {
				want(w, form, 0)
				send(w, "\x03\x20\x00"+string(big)+first+"\x01")
				send(w, "\x00\x02aa"+second)
			},
			[]piece{
				{"\x03\x20\x00" + string(big[:97]), 0, false}, {"", len(big) - 97 + len(first) + 1, false},
				{"\x00\x02", 0, false}, {"", 2, true}, {second, 0, false},
			},
		},
		"more than the limit of a burst, in a body": {
			func(w *wire) {
				want(w, form, 0)
				for range 10 {
					send(w, "\x03\x00\x64"+string(big[:100]))
				}
				send(w, "\x01\x00\x04a")
				send(w, "aaa")
			},
			append(beyondBurst, piece{"", 4, false}, piece{"", 3, true}),
		},
		"bytes that no hook has seen, in a body": {
			func(w *wire) {
				want(w, form, 0)
				send(w, "\x01\x00\x0caaaa")
				splice(w, "aaaa")
				send(w, "aaaa"+second)
			},
			[]piece{{"\x01\x00\x0c", 0, false}, {"", 4, true}, {"", 4, true}, {"", 4, true}, {second, 0, false}},
		},
		"bytes that no hook has seen, within a header": {
			func(w *wire) {
				want(w, form, 0)
				send(w, first[:2])
				splice(w, first[2:])
				send(w, first)
			},
			[]piece{{first[:2], 0, false}, {"", 5, false}, {first, 0, false}},
		},
		"bytes that no hook has seen, with a header": {
			func(w *wire) {
				want(w, form, 0)
				send(w, first)
				splice(w, first)
				send(w, first)
				want(w, form, 21)
				send(w, first)
			},
			[]piece{
				{"\x01\x00\x04", 0, false}, {"", 4, true}, {"", 7, false}, {first, 0, false}, {"\x01\x00\x04", 0, false}, {"", 4, true},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, openForTest(t))
			test.calls(w)
			w.listen()
			got := w.pieces(atClient, event.Sent)
			if len(got) != len(test.want) {
				t.Fatalf("%d pieces, want %d: %.200v", len(got), len(test.want), got)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("piece %d is %.200v, want %.200v", i, got[i], test.want[i])
				}
			}
		})
	}
}

// splice sends bytes that no call has in its memory.
func splice(w *wire, text string) {
	r, p := pipe(w.t)
	n, err := unix.Write(p, []byte(text))
	w.did(n, len(text), err)
	moved, err := unix.Splice(r, nil, w.client, nil, len(text), 0)
	w.did(int(moved), len(text), err)
	w.receive(len(text))
}

// TestImpossibleFramesAreCapturedWhole: a length that does not even count itself.
func TestImpossibleFramesAreCapturedWhole(t *testing.T) {
	const text = "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"
	w := newWire(t, openForTest(t))
	want := event.Want{Limit: [event.Directions]uint32{100, 100}, Burst: 1000}
	want.Form[event.Sent] = event.FrameForm{Header: 4, LengthWidth: 4, Bias: -4, TypeOffset: 4, Unwanted: 1}
	w.tracer.Want(w.cookies[atClient], want)
	for _, part := range []string{text[:2], text[2:], text} {
		w.send([]byte(part))
		w.receive(len(part))
	}
	w.listen()
	got := ""
	for _, p := range w.pieces(atClient, event.Sent) {
		if got += p.text; p.gap > 0 {
			t.Errorf("%d bytes are missing behind %q", p.gap, got)
		}
	}
	if got != text+text {
		t.Errorf("captured %q, want %q", got, text+text)
	}
}
