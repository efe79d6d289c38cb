//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestAnswersToSignatures: the answer to a known signature is captured beyond the limit of a burst too, whatever it begins with.
func TestAnswersToSignatures(t *testing.T) {
	const prefix = "0123456789abcdef"
	needPrivilege(t)
	tracer, err := OpenSockets(Options{
		Shards: 1, RingBytes: 1 << 20, Processes: 64, Sockets: 64, Data: true, PayloadLimit: testLimit, PayloadBurst: testBurst,
		SignatureBurst: 4 * testBurst, Signatures: []Signature{{Prefix: []byte(prefix)}},
	})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	w := newWire(t, tracer)
	w.send([]byte(prefix))
	w.receive(len(prefix))
	answer := letters(testLimit)
	for range 3 * testBurst / len(answer) {
		n, err := unix.Write(w.server, answer)
		w.did(n, len(answer), err)
		for got := 0; got < n; {
			k, err := unix.Read(w.client, answer[got:])
			if err != nil || k == 0 {
				t.Fatalf("%d of %d bytes: %v", got, n, err)
			}
			got += k
		}
	}
	w.listen()
	for end, d := range map[int]event.Direction{atServer: event.Sent, atClient: event.Received} {
		captured := 0
		for _, data := range w.emitted[end][d] {
			captured += len(data.Payload)
		}
		if captured != 3*testBurst {
			t.Errorf("end %d: %d of %d bytes captured", end, captured, 3*testBurst)
		}
	}
}
