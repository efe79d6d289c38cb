//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// HTTP/2: RFC 9113, sections 3.4 (the preface, and that both sides begin with SETTINGS) and 4.1 (frames).
const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	data         = 0
	headers      = 1
	settings     = 4
)

var http2Form = event.FrameForm{Header: 9, LengthWidth: 3, TypeOffset: 3, Unwanted: 1 << data}

var http2Signature = Signature{
	Prefix: []byte(http2Preface[:SignatureBytes]), Frames: [2]event.FrameForm{http2Form, http2Form}, First: [2]uint64{uint64(len(http2Preface)), 0},
	Peer: []byte{0, 0, 0, settings, 0, 0, 0, 0, 0}, PeerMask: []byte{0, 0, 0, 255, 255, 255, 255, 255, 255},
}

// framesTracer is either mode.
type framesTracer interface {
	Readers() []*Reader
	Want(cookie uint64, w event.Want)
	Counters() (Counters, error)
	Close() error
}

func eachMode(t *testing.T, opts Options, test func(t *testing.T, tracer framesTracer)) {
	needPrivilege(t)
	opts.Shards, opts.RingBytes, opts.Processes, opts.Sockets, opts.Data = 1, 4<<20, 1024, 1024, true
	opts.DatagramIdle = time.Minute
	for mode, open := range map[string]func() (framesTracer, error){
		socketMode:  func() (framesTracer, error) { return OpenSockets(opts) },
		syscallMode: func() (framesTracer, error) { return OpenSyscalls(opts, func(event.Event) {}) },
	} {
		t.Run(mode, func(t *testing.T) {
			tracer, err := open()
			if mode == socketMode && errors.Is(err, ErrUnsupported) {
				t.Logf("this kernel has no %s mode: %v", mode, err)
				return
			}
			must(t, err)
			defer func() { must(t, tracer.Close()) }()
			test(t, tracer)
		})
	}
}

// endOf is what was emitted of one end of a connection.
type endOf struct {
	cookie uint64
	data   [event.Directions][]event.Event
}

// readEnds reads the events of the connections of this process that were opened and are not closed yet, by the role of the end.
func readEnds(t *testing.T, tracer framesTracer) map[event.Role]*endOf {
	t.Helper()
	ends, byRole := map[uint64]*endOf{}, map[event.Role]*endOf{}
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	var e event.Event
	for {
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return byRole
		}
		must(t, err)
		switch end := ends[e.Flow.Cookie]; {
		case e.Kind == event.KindOpen && e.Owner.PID == uint32(os.Getpid()):
			ends[e.Flow.Cookie] = &endOf{cookie: e.Flow.Cookie}
			byRole[e.Flow.Role] = ends[e.Flow.Cookie]
		case e.Kind == event.KindData && end != nil:
			e.Data.Payload = bytes.Clone(e.Data.Payload)
			end.data[e.Data.Direction] = append(end.data[e.Data.Direction], e)
		}
	}
}

// framed is the bytes of one direction of a conversation.
type framed struct {
	bytes  []byte
	cuts   []int // where each header and each body begins
	bodies int   // bytes of DATA
}

func (f *framed) add(kind byte, body int) {
	header := make([]byte, 9)
	binary.BigEndian.PutUint32(header, uint32(body)<<8)
	header[3] = kind
	f.cuts = append(f.cuts, len(f.bytes), len(f.bytes)+9)
	f.bytes = append(append(f.bytes, header...), letters(body)...)
	if kind == data {
		f.bodies += body
	}
}

// message is a request or a response: frames of DATA of a size, with HEADERS before, between and behind them.
func (f *framed) message(bodies, size int) {
	f.add(headers, 120)
	for i := range bodies {
		f.add(data, size)
		if i%50 == 49 {
			f.add(headers, 30)
		}
	}
	f.add(headers, 10)
}

// carry sends bytes over the connection in calls of these sizes, each of which passes the pieces between cuts as iovecs of their own if
// there are cuts, and receives them in calls of size bytes.
func carry(t *testing.T, from, to int, f *framed, begin int, vectors bool, calls func() int, size int) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		for at := begin; at < len(f.bytes); {
			end := min(len(f.bytes), at+calls())
			parts := [][]byte{f.bytes[at:end]}
			if vectors {
				parts = nil
				for i, cut := range f.cuts {
					next := end
					if i+1 < len(f.cuts) {
						next = f.cuts[i+1]
					}
					for b := max(cut, at); b < min(next, end); b = min(b+8192, next) {
						parts = append(parts, f.bytes[b:min(b+8192, next, end)])
					}
				}
			}
			n, err := unix.Writev(from, parts)
			if err != nil {
				done <- err
				return
			}
			at += n
		}
		done <- nil
	}()
	b := make([]byte, size)
	for at := begin; at < len(f.bytes); {
		n, err := unix.Read(to, b)
		if err != nil || n == 0 {
			t.Fatalf("%d of %d bytes: %v", at, len(f.bytes), err)
		}
		at += n
	}
	must(t, <-done)
}

// checkFrames compares what was emitted with what was sent: everything but the bodies of DATA has to be there.
func checkFrames(events []event.Event, f *framed) error {
	var at, unwanted uint64
	for i := range events {
		d := &events[i].Data
		if d.Position != at {
			return fmt.Errorf("event %d begins at %d, want %d", i, d.Position, at)
		}
		pieces := d.Pieces()
		for p, ok := pieces.Next(); ok; p, ok = pieces.Next() {
			if !bytes.Equal(p.Bytes, f.bytes[at:at+uint64(len(p.Bytes))]) {
				return fmt.Errorf("event %d: %d bytes at %d are others than were sent", i, len(p.Bytes), at)
			}
			if p.Gap > 0 && !p.Unwanted {
				return fmt.Errorf("event %d of %d bytes, %d of them captured, cut for reason %d: %d bytes at %d are missing",
					i, d.Length, len(d.Payload), d.CutReason, p.Gap, at)
			}
			at += uint64(len(p.Bytes)) + p.Gap
			unwanted += p.Gap
		}
	}
	if int(at) != len(f.bytes) || int(unwanted) != f.bodies {
		return fmt.Errorf("%d of %d bytes emitted, %d of %d of DATA left out", at, len(f.bytes), unwanted, f.bodies)
	}
	return nil
}

// TestUnwantedBodiesAreHoppedOver: however a conversation is split into calls, everything but the bodies of DATA is captured from the
// first call on, at both ends and in both directions, though much more is transferred than the limit of a call.
func TestUnwantedBodiesAreHoppedOver(t *testing.T) {
	opts := Options{PayloadLimit: 64 << 10, PayloadBurst: 64 << 10, SignatureBurst: 256 << 10, Signatures: []Signature{
		{Prefix: []byte("0123456789abcdef")}, http2Signature,
	}}
	everything := func() int { return 1 << 30 }
	r := rand.New(rand.NewPCG(1, 1))
	cases := map[string]struct {
		bodies, size int
		vectors      bool
		calls        func() int
		receive      int
		greeted      bool // what both begin with has been sent before, as a whole: eight bytes would not do to recognise it
	}{
		"4 MiB in one call of many iovecs": {256, 16384, true, everything, 7919, false},
		"1 MiB in one write":               {64, 16384, false, everything, 7919, false},
		"large frames":                     {3, 1 << 20, false, everything, 65536, false},
		"small frames":                     {500, 20, false, everything, 33, false},
		"small frames, many iovecs":        {380, 20, true, everything, 4096, false},
		"empty frames":                     {1000, 0, false, everything, 100, false},
		"a few bytes at a time":            {20, 50, false, func() int { return 1 + r.IntN(25) }, 7, true},
		"calls that end anywhere":          {100, 1000, true, func() int { return 1 + r.IntN(5000) }, 1009, true},
	}
	eachMode(t, opts, func(t *testing.T, tracer framesTracer) {
		for name, test := range cases {
			for _, serverFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, server first %v", name, serverFirst), func(t *testing.T) {
					client, server := connect(t)
					up := framed{bytes: []byte(http2Preface), cuts: []int{0}}
					up.add(settings, 18)
					var down framed
					down.add(settings, 6)
					upAt, downAt := 0, 0
					if serverFirst {
						carry(t, server, client, &down, 0, false, everything, 1<<16)
						downAt = len(down.bytes)
					}
					if test.greeted {
						carry(t, client, server, &up, 0, false, everything, 1<<16)
						carry(t, server, client, &down, downAt, false, everything, 1<<16)
						upAt, downAt = len(up.bytes), len(down.bytes)
					}
					up.message(test.bodies, test.size)
					carry(t, client, server, &up, upAt, test.vectors, test.calls, test.receive)
					down.message(test.bodies, test.size)
					carry(t, server, client, &down, downAt, test.vectors, test.calls, test.receive)
					checkEnds(t, tracer, &up, &down)
				})
			}
		}
	})
}

// checkEnds checks what was emitted of both ends of a connection that was opened since the last check.
func checkEnds(t *testing.T, tracer framesTracer, up, down *framed) {
	t.Helper()
	ends := readEnds(t, tracer)
	for role, want := range map[event.Role][event.Directions]*framed{
		event.RoleClient: {event.Sent: up, event.Received: down},
		event.RoleServer: {event.Sent: down, event.Received: up},
	} {
		if ends[role] == nil {
			t.Fatalf("role %d: not emitted", role)
		}
		for d, f := range want {
			if err := checkFrames(ends[role].data[d], f); err != nil {
				t.Errorf("role %d, direction %d: %v", role, d, err)
			}
		}
	}
}

// TestFramesOfWhoSpeaksFirst: a server that begins like one of HTTP/2 is one if the client begins with the signature. Until that is known
// everything is captured.
func TestFramesOfWhoSpeaksFirst(t *testing.T) {
	opts := Options{PayloadLimit: 64 << 10, PayloadBurst: 64 << 10, SignatureBurst: 256 << 10, Signatures: []Signature{
		{Prefix: []byte("0123456789abcdef"), Frames: [2]event.FrameForm{{Header: 1, LengthWidth: 1}, {Header: 1, LengthWidth: 1}}}, http2Signature,
	}}
	for name, test := range map[string]struct {
		begin, answer string
		leftOut       int
	}{
		"the signature":     {"\x00\x00\x00\x04\x00\x00\x00\x00\x00", http2Preface, 1000},
		"another signature": {"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "0123456789abcdef", 0},
		"something else":    {"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "GET / HTTP/1.1\r\n\r\n", 0},
		"another beginning": {"\x00\x00\x00\x04\x01\x00\x00\x00\x00", http2Preface, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, opts, func(t *testing.T, tracer framesTracer) {
				client, server := connect(t)
				everything := func() int { return 1 << 30 }
				up := framed{bytes: []byte(test.answer)}
				down := framed{bytes: []byte(test.begin)}
				down.add(data, 1000) // too early for HTTP/2, and captured
				carry(t, server, client, &down, 0, false, everything, 1<<16)
				carry(t, client, server, &up, 0, false, everything, 1<<16)
				at := len(down.bytes)
				down.add(data, 1000)
				carry(t, server, client, &down, at, false, everything, 1<<16)
				down.bodies = test.leftOut
				checkEnds(t, tracer, &up, &down)
			})
		})
	}
}

// TestWantedBodiesTakeSeveralEvents: the events of a call go on where the last one ended, within a body or a header.
func TestWantedBodiesTakeSeveralEvents(t *testing.T) {
	const limit = 1 << 20
	everything := func() int { return 1 << 30 }
	opts := Options{PayloadLimit: limit, PayloadBurst: limit, SignatureBurst: limit, Signatures: []Signature{http2Signature}}
	eachMode(t, opts, func(t *testing.T, tracer framesTracer) {
		for _, vectors := range []bool{false, true} {
			t.Run(fmt.Sprintf("iovecs %v", vectors), func(t *testing.T) {
				client, server := connect(t)
				up := framed{bytes: []byte(http2Preface), cuts: []int{0}}
				// An event ends behind the header of the first DATA, the next one within that of the second.
				for _, size := range []int{32768 - len(http2Preface) - 2*9, 32768 - 9 - 4, 100_000, 500_000} {
					up.add(headers, size)
					up.add(data, 70_000)
				}
				var down framed
				down.add(settings, 0)
				carry(t, client, server, &up, 0, vectors, everything, 1<<20)
				carry(t, server, client, &down, 0, vectors, everything, 1<<20)
				checkEnds(t, tracer, &up, &down)
			})
		}
	})
}
