//go:build amd64 || arm64

package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// TestDescriptionComesBeforeTheNextData: user space asks for a description of a socket that it has forgotten. It comes once, with
// everything that the opening had said, and with the position of the data that follows.
func TestDescriptionComesBeforeTheNextData(t *testing.T) {
	file := filepath.Join(t.TempDir(), "socket")
	opts := Options{UDP: true, Unix: true, DatagramData: true, PayloadLimit: testLimit, PayloadBurst: testBurst}
	eachMode(t, opts, func(t *testing.T, tracer framesTracer) {
		for transport, open := range map[event.Transport]func(t *testing.T) (a, b int){
			event.TCP:        connect,
			event.UDP:        connectDatagrams,
			event.UnixStream: func(t *testing.T) (int, int) { return connectUnix(t, file) },
		} {
			runtime.LockOSThread()
			a, b := open(t)
			transferred := func(text string) [event.Directions][]event.Event {
				n, err := unix.Write(a, []byte(text))
				must(t, err)
				if got, err := unix.Read(b, make([]byte, 100)); got != n || err != nil {
					t.Fatalf("read %d bytes of %d: %v", got, n, err)
				}
				return eventsAround(t, tracer, text)
			}
			opened := transferred("first")
			for d, events := range opened {
				if len(events) != 2 || events[0].Kind != event.KindOpen {
					t.Fatalf("transport %d, direction %d: %+v, want an opening and data", transport, d, events)
				}
				tracer.Want(events[0].Flow.Cookie, event.Want{
					Limit: [event.Directions]uint32{100, 100}, Burst: 1000, Describe: true,
					Next: [event.Directions]uint64{event.FrameUnknown, event.FrameUnknown},
				})
			}
			for d, events := range transferred("second") {
				if len(events) != 2 {
					t.Errorf("transport %d, direction %d: %+v, want a description and data", transport, d, events)
					continue
				}
				got, want := &events[0], &opened[d][0]
				names := want.Flow.Unix == nil || *got.Flow.Unix == *want.Flow.Unix
				got.Flow.Unix, want.Flow.Unix = nil, nil
				if !got.Existing || got.Flow != want.Flow || !names || got.Owner != want.Owner || got.Started != got.Time || got.Time < want.Time {
					t.Errorf("transport %d, direction %d: described as\n%+v\nopened as\n%+v", transport, d, got, want)
				}
				if at := events[1].Data.Position; got.Ending.Position[d] != at || at != uint64(len("first")) {
					t.Errorf("transport %d, direction %d: described at %v, goes on at %d", transport, d, got.Ending.Position, at)
				}
			}
			for d, events := range transferred("third") {
				if len(events) != 1 {
					t.Errorf("transport %d, direction %d: %+v, want data only", transport, d, events)
				}
			}
			must(t, errors.Join(unix.Close(a), unix.Close(b), os.RemoveAll(file)))
			runtime.UnlockOSThread()
		}
	})
}

// connectDatagrams returns two UDP sockets that are connected to each other.
func connectDatagrams(t *testing.T) (a, b int) {
	t.Helper()
	ends := [2]int{}
	for i := range ends {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		ends[i] = fd
	}
	for i := range ends {
		address, err := unix.Getsockname(ends[1-i])
		must(t, err)
		must(t, unix.Connect(ends[i], address))
	}
	return ends[0], ends[1]
}

// eventsAround reads the data events with a payload, and what opens or describes their sockets before them, by direction.
func eventsAround(t *testing.T, tracer framesTracer, payload string) (all [event.Directions][]event.Event) {
	t.Helper()
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	ofSocket := map[uint64][]event.Event{}
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return all
		}
		must(t, err)
		switch cookie := e.Flow.Cookie; {
		case e.Kind == event.KindOpen, e.Kind == event.KindExisting:
			ofSocket[cookie] = append(ofSocket[cookie], e)
		case e.Kind == event.KindData && string(e.Data.Payload) == payload:
			ofSocket[cookie] = append(ofSocket[cookie], e)
			all[e.Data.Direction] = ofSocket[cookie]
		}
	}
}

// TestSocketThatTheKernelSideForgotIsAskedAbout: a descriptor leads to it still.
func TestSocketThatTheKernelSideForgotIsAskedAbout(t *testing.T) {
	needPrivilege(t)
	opts := Options{
		Shards: 1, RingBytes: 4 << 20, Processes: 1024, Sockets: 1024, Data: true, DatagramIdle: time.Minute,
		PayloadLimit: testLimit, PayloadBurst: testBurst,
	}
	tracer, err := OpenSyscalls(opts, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	client, server := connect(t)
	_, err = unix.Write(client, []byte("first"))
	must(t, err)
	opened := eventsAround(t, tracer, "first")[event.Sent]
	if len(opened) != 2 {
		t.Fatalf("%+v, want an opening and data", opened)
	}
	must(t, tracer.objects.Maps[bpf.SyscallsMapCallSockets].Delete(opened[0].Flow.Cookie))
	_, err = unix.Write(client, []byte("second"))
	must(t, err)
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			t.Fatalf("nobody asks where descriptor %d leads to", client)
		}
		must(t, err)
		if e.Kind == event.KindUnknown && e.Owner.PID == uint32(os.Getpid()) && e.FD == uint32(client) {
			break
		}
	}
	must(t, unix.Close(server))
}
