//go:build amd64 || arm64

package kernel

import (
	"os"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/event"
)

// TestSecondDescriptorOfAnOlderSocket: a socket that is known by one descriptor may be found by another one.
func TestSecondDescriptorOfAnOlderSocket(t *testing.T) {
	needPrivilege(t)
	opts := Options{Shards: 1, RingBytes: 1 << 20, Processes: 64, Sockets: 64, Data: true, DatagramIdle: time.Minute}
	tracer, err := OpenSyscalls(opts, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	pid, flow := uint32(os.Getpid()), event.Flow{Cookie: 1 << 40}
	for _, fd := range []uint32{1 << 20, 1<<20 + 1} { // no such descriptor is open here
		must(t, tracer.Adopt(pid, fd, 0, &flow, false))
		if d, known, err := tracer.lookUp(pid, fd); err != nil || !known || d.Id != flow.Cookie {
			t.Errorf("descriptor %d leads to %+v, known: %v, %v", fd, d, known, err)
		}
	}
}
