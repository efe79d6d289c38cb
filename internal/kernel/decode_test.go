//go:build linux && (amd64 || arm64)

package kernel

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

// raw is a record as the kernel would write it.
func raw[T any](record *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(record)), unsafe.Sizeof(*record))
}

func header(kind bpf.SocketflowEventKind) bpf.SocketflowEventHeader {
	return bpf.SocketflowEventHeader{Kind: uint32(kind), Pid: 42, Time: 1234, Start: 5 * nanosecondsPerTick}
}

func address(s string) (out [16]uint8) {
	copy(out[:], netip.MustParseAddr(s).AsSlice())
	return out
}

func TestDecodeClose(t *testing.T) {
	var got event.Event
	record := bpf.SocketflowCloseEvent{
		Header: header(bpf.SocketflowEventKindEVENT_CLOSE),
		Flow: bpf.SocketflowFlow{
			Cookie: 9, Local: address("::ffff:10.0.0.1"), Remote: address("2001:db8::1"), LocalPort: 0x0102,
			RemotePort: 443, Family: familyIPv6, Role: 2, RoleSource: 2, Netns: 77, Initial: [2]uint32{5, 6},
		},
		Started: 1000, Established: 1001, BytesSent: 3, BytesReceived: 4,
		Packets: bpf.SocketflowPacketCounts{Sent: 5, Received: 6, SrttUs: 7, MinRttUs: 6, Retransmits: 8}, Error: 104, LastState: 9, FinReceived: 1, AcceptedBefore: 1,
	}
	if err := decode(raw(&record), &got); err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Kind: event.KindClose, Time: 1234, Owner: process.ID{PID: 42, Start: 5},
		Flow: event.Flow{
			Cookie: 9, Local: netip.MustParseAddrPort("10.0.0.1:258"), Remote: netip.MustParseAddrPort("[2001:db8::1]:443"),
			NetNS: 77, Role: event.RoleServer, RoleSource: event.RoleSourceAccept, Initial: [2]uint32{5, 6},
		},
		Started: 1000, Established: 1001, Existing: true,
		Ending: event.Ending{
			LastState: event.StateLastAck, Errno: 104, FINReceived: true, BytesSent: 3, BytesReceived: 4,
			SegmentsSent: 5, SegmentsReceived: 6, RTT: 7, MinRTT: 6, Retransmits: 8,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// dataRecord is a record of 20 bytes, of which 4 were skipped, 6 captured and the rest was beyond a limit.
func dataRecord(change func(*bpf.SocketflowDataEvent)) []byte {
	record := bpf.SocketflowDataEvent{
		Header: header(bpf.SocketflowEventKindEVENT_DATA), Cookie: 9, Position: 1 << 40, LastUnreported: 11, Tid: 43,
		Length: 20, Skipped: 4, Captured: 6, Direction: 1, CutReason: 1, GapReason: 8,
	}
	g := &record.Goroutine
	g.Number, g.Asker, g.Creator, g.Next, g.Block = 21, 22, 23, 24, 25
	change(&record)
	return append(raw(&record), "abcdef++"...) // the ring buffer rounds up to 8
}

func TestDecodeData(t *testing.T) {
	var got event.Event
	if err := decode(dataRecord(func(*bpf.SocketflowDataEvent) {}), &got); err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Kind: event.KindData, Time: 1234, Owner: process.ID{PID: 42, Start: 5}, Flow: event.Flow{Cookie: 9},
		Data: event.Data{
			Direction: event.Received, Position: 1 << 40, Length: 20, Skipped: 4, Payload: []byte("abcdef"),
			CutReason: event.CutLimit, GapReason: event.CutRingFull, LastUnreported: 11, TID: 43,
			Goroutine: event.Goroutine{Number: 21, Asker: 22, Creator: 23, Next: 24, Block: 25},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeProcess(t *testing.T) {
	record := bpf.SocketflowProcessEvent{Header: header(bpf.SocketflowEventKindEVENT_PROCESS), Generation: 3, ArgsCut: 1, Uid: 33}
	record.Executable.Cut, record.Cgroup.Cut = 1, 2
	put := func(to []int8, s string) uint32 {
		return uint32(copy(unsafe.Slice((*byte)(unsafe.Pointer(&to[0])), len(to)), s))
	}
	put(record.Comm[:], "nginx")
	record.Executable.Used = put(record.Executable.Parts[:], "nginx\x00sbin\x00usr\x00")
	record.Cgroup.Used = put(record.Cgroup.Parts[:], "nginx.service\x00system.slice\x00")
	record.ArgsLen = put(record.Args[:], "nginx\x00-g\x00")
	record.EnvironLen = put(record.Environ[:], "A=1\x00")
	var got event.Event
	if err := decode(raw(&record), &got); err != nil {
		t.Fatal(err)
	}
	want := &process.Snapshot{
		ID: process.ID{PID: 42, Start: 5}, Comm: "nginx", Executable: "/usr/sbin/nginx", ExecutableCut: true, UID: process.UserID(33),
		Cgroup: "/system.slice/nginx.service", CgroupCut: true, Args: []byte("nginx\x00-g\x00"), ArgsCut: true, Environ: []byte("A=1\x00"),
	}
	if !reflect.DeepEqual(got.Process, want) || got.Generation != 3 {
		t.Errorf("got  %+v generation %d\nwant %+v generation 3", got.Process, got.Generation, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	open := bpf.SocketflowOpenEvent{Header: header(bpf.SocketflowEventKindEVENT_OPEN)}
	unknown := bpf.SocketflowExitEvent{Header: header(bpf.SocketflowEventKindEVENT_KINDS)}
	for name, record := range map[string][]byte{
		"an empty record":                     {},
		"half a header":                       raw(&open)[:8],
		"a cut event":                         raw(&open)[:unsafe.Sizeof(open)-1],
		"an unknown kind":                     raw(&unknown),
		"a header of zeros":                   make([]byte, 64),
		"payload that is not there":           dataRecord(func(r *bpf.SocketflowDataEvent) { r.Captured = 9 }),
		"more payload than there was":         dataRecord(func(r *bpf.SocketflowDataEvent) { r.Length = 9 }),
		"skipped and captured beyond 32 bits": dataRecord(func(r *bpf.SocketflowDataEvent) { r.Skipped = 1<<32 - 1 }),
		"frames of an impossible form":        dataRecord(func(r *bpf.SocketflowDataEvent) { r.Form = 17 }),
		"the end of an impossible header":     dataRecord(func(r *bpf.SocketflowDataEvent) { r.FrameLead = 17 }),
		"a position below zero":               dataRecord(func(r *bpf.SocketflowDataEvent) { r.Position = 1<<64 - 656 }),
		"a direction that does not exist":     dataRecord(func(r *bpf.SocketflowDataEvent) { r.Direction = 2 }),
	} {
		var e event.Event
		if err := decode(record, &e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	record := bpf.SocketflowCloseEvent{Header: header(bpf.SocketflowEventKindEVENT_CLOSE), Flow: bpf.SocketflowFlow{Family: familyIPv6}}
	bytes := raw(&record)
	var e event.Event
	if n := testing.AllocsPerRun(100, func() {
		if err := decode(bytes, &e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode: whatever the ring buffer holds, decoding ends in an event within bounds or an error.
func FuzzDecode(f *testing.F) {
	for kind := range bpf.SocketflowEventKindEVENT_KINDS {
		record := bpf.SocketflowProcessEvent{Header: header(kind)} // the longest
		record.Executable.Used = 4
		copy(record.Executable.Parts[:], []int8{'a', 0, 'b', 0})
		f.Add(raw(&record))
		f.Add(raw(&record)[:160])
	}
	f.Add(dataRecord(func(*bpf.SocketflowDataEvent) {}))
	f.Fuzz(func(t *testing.T, record []byte) {
		aligned := append([]byte(nil), record...)
		var e event.Event
		if err := decode(aligned, &e); err != nil {
			return
		}
		if e.Kind == event.KindNone || e.Kind >= event.Kinds || e.Kind.String() == "unknown" {
			t.Errorf("kind %d", e.Kind)
		}
		if d := e.Data; uint64(len(d.Payload))+uint64(d.Skipped) > uint64(d.Length) || d.Direction >= event.Directions {
			t.Errorf("data %+v", d)
		}
		if e.Process != nil {
			for _, path := range []string{e.Process.Executable, e.Process.Cgroup} {
				if path != "" && !strings.HasPrefix(path, "/") || len(path) > len(record) {
					t.Errorf("path %q", path)
				}
			}
		}
	})
}
