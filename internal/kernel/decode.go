//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

// errShort means that a record is shorter than its kind demands: the object and the Go types do not match.
var errShort = errors.New("record shorter than its kind")

// errInconsistent means that a record's members contradict each other.
var errInconsistent = errors.New("record contradicts itself")

// kinds maps the kernel's numbers to event kinds.
var kinds = [bpf.SocketflowEventKindEVENT_KINDS]event.Kind{
	bpf.SocketflowEventKindEVENT_PROCESS:       event.KindProcess,
	bpf.SocketflowEventKindEVENT_EXIT:          event.KindExit,
	bpf.SocketflowEventKindEVENT_OPEN:          event.KindOpen,
	bpf.SocketflowEventKindEVENT_ACCEPT:        event.KindAccept,
	bpf.SocketflowEventKindEVENT_CLOSE:         event.KindClose,
	bpf.SocketflowEventKindEVENT_FAIL:          event.KindFail,
	bpf.SocketflowEventKindEVENT_CONNECT_ERROR: event.KindConnectError,
	bpf.SocketflowEventKindEVENT_EXISTING:      event.KindExisting,
	bpf.SocketflowEventKindEVENT_LIVE:          event.KindLive,
	bpf.SocketflowEventKindEVENT_DATA:          event.KindData,
	bpf.SocketflowEventKindEVENT_UNIX_OPEN:     event.KindOpen,
	bpf.SocketflowEventKindEVENT_PEER_CLOSE:    event.KindPeerClose,
	bpf.SocketflowEventKindEVENT_LOCAL_CLOSE:   event.KindLocalClose,
	bpf.SocketflowEventKindEVENT_EXEC:          event.KindExec,
	bpf.SocketflowEventKindEVENT_ADDRESS:       event.KindAddress,
	bpf.SocketflowEventKindEVENT_HOLD:          event.KindHold,
	bpf.SocketflowEventKindEVENT_UNKNOWN:       event.KindUnknown,
}

// view interprets raw as a T. The ring buffer aligns records to 8 bytes and the reader copies them to the start of an
// allocation, so that the conversion is aligned; T holds integers only, so that any bytes are a valid T.
func view[T any](raw []byte) (*T, error) {
	var t T
	if uintptr(len(raw)) < unsafe.Sizeof(t) {
		return nil, fmt.Errorf("%w: %d bytes of %d", errShort, len(raw), unsafe.Sizeof(t))
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(raw))), nil
}

// decode reads one ring buffer record into e and overwrites all of e. Only descriptions of processes allocate.
func decode(raw []byte, e *event.Event) error {
	head, err := view[bpf.SocketflowExitEvent](raw) // no more than the header
	if err != nil {
		return err
	}
	kind := event.KindNone
	if head.Header.Kind < uint32(len(kinds)) {
		kind = kinds[head.Header.Kind]
	}
	*e = event.Event{
		Kind: kind,
		Time: head.Header.Time,
		Owner: process.ID{
			PID:   head.Header.Pid,
			Start: head.Header.Start / nanosecondsPerTick,
		},
	}
	switch kind {
	case event.KindData:
		return decodeData(raw, e)
	case event.KindExit, event.KindExec:
		return nil
	case event.KindOpen:
		if head.Header.Kind == uint32(bpf.SocketflowEventKindEVENT_UNIX_OPEN) {
			return decodeUnixOpen(raw, e)
		}
		return decodeOpen(raw, e)
	case event.KindAccept, event.KindConnectError, event.KindExisting, event.KindAddress:
		return decodeOpen(raw, e)
	case event.KindHold, event.KindUnknown:
		descriptor, err := view[bpf.SocketflowDescriptorEvent](raw)
		if err != nil {
			return err
		}
		e.Flow.Cookie, e.FD = descriptor.Cookie, descriptor.Fd
		return nil
	case event.KindClose, event.KindFail, event.KindPeerClose:
		return decodeClose(raw, e)
	case event.KindLocalClose:
		return decodeLocalClose(raw, e)
	case event.KindProcess:
		return decodeProcess(raw, e)
	case event.KindLive:
		live, err := view[bpf.SocketflowLiveEvent](raw)
		if err != nil {
			return err
		}
		e.Flow.Cookie = live.Cookie
		e.Ending.BytesSent, e.Ending.BytesReceived = live.Bytes[event.Sent], live.Bytes[event.Received]
		count(&e.Ending, &live.Packets)
		return nil
	default:
		return fmt.Errorf("unknown event kind %d", head.Header.Kind)
	}
}

// nanosecondsPerTick converts the kernel's start time to the unit of /proc: USER_HZ is 100 on every Linux that Go
// supports (include/asm-generic/param.h).
const nanosecondsPerTick = 10_000_000

func decodeOpen(raw []byte, e *event.Event) error {
	r, err := view[bpf.SocketflowOpenEvent](raw)
	if err != nil {
		return err
	}
	e.Flow = flow(&r.Flow)
	e.Started = r.Started
	e.FD = r.Fd
	e.Existing = e.Kind == event.KindExisting
	e.Early = e.Kind == event.KindOpen && r.State != 0
	e.Ending.LastState = event.State(r.State)
	e.Ending.Position = r.Position
	e.Ending.Errno = uint32(max(r.Error, 0))
	e.Sequence = r.Sequence
	return nil
}

func decodeUnixOpen(raw []byte, e *event.Event) error {
	r, err := view[bpf.SocketflowUnixOpenEvent](raw)
	if err != nil {
		return err
	}
	e.Flow = flow(&r.Flow)
	e.Flow.Unix = &event.Unix{
		Local:   unixName(octets(r.Local[:], uint32(r.LocalLength))),
		Remote:  unixName(octets(r.Remote[:], uint32(r.RemoteLength))),
		PeerPID: r.PeerPid,
		Peer:    r.Peer,
	}
	e.Started = e.Time
	e.Existing = r.Existing != 0
	e.Ending.Position = r.Position
	return nil
}

// unixName writes a name as ss and netstat do: a name of the abstract namespace, which begins with a NUL, with an @.
func unixName(b []byte) string {
	if len(b) > 1 && b[0] == 0 {
		return "@" + strings.ToValidUTF8(strings.ReplaceAll(string(b[1:]), "\x00", "@"), "\uFFFD")
	}
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func decodeClose(raw []byte, e *event.Event) error {
	r, err := view[bpf.SocketflowCloseEvent](raw)
	if err != nil {
		return err
	}
	e.Flow = flow(&r.Flow)
	e.Started = r.Started
	e.Established = r.Established
	e.Existing = r.AcceptedBefore != 0
	e.Ending = event.Ending{
		LastState:      event.State(r.LastState),
		Errno:          uint32(max(r.Error, 0)),
		FINReceived:    r.FinReceived != 0,
		Left:           r.Left != 0,
		BytesSent:      r.BytesSent,
		BytesReceived:  r.BytesReceived,
		Uncounted:      r.Uncounted != 0,
		Unread:         r.Unread,
		Position:       r.Position,
		LastUnreported: r.LastUnreported,
	}
	count(&e.Ending, &r.Packets)
	return nil
}

func count(e *event.Ending, packets *bpf.SocketflowPacketCounts) {
	e.SegmentsSent, e.SegmentsReceived, e.Retransmits = packets.Sent, packets.Received, packets.Retransmits
	e.RTT, e.MinRTT = packets.SrttUs, packets.MinRttUs
}

func decodeLocalClose(raw []byte, e *event.Event) error {
	r, err := view[bpf.SocketflowLocalCloseEvent](raw)
	if err != nil {
		return err
	}
	e.Flow.Cookie = r.Cookie
	e.Ending.FINReceived = r.FinReceived != 0
	e.Ending.Position, e.Ending.LastUnreported = r.Position, r.LastUnreported
	return nil
}

// decodeData does not copy the payload: it stays in raw.
func decodeData(raw []byte, e *event.Event) error {
	r, err := view[bpf.SocketflowDataEvent](raw)
	if err != nil {
		return err
	}
	payload := raw[unsafe.Sizeof(*r):]
	if uint64(r.Captured) > uint64(len(payload)) || uint64(r.Skipped)+uint64(r.Captured) > uint64(r.Length) ||
		r.Position > math.MaxInt64 || r.Direction >= uint8(event.Directions) || r.FrameLead > event.MaxFrameHeader {
		return fmt.Errorf("%w: %d bytes captured behind %d skipped of %d at %d, %d there, direction %d",
			errInconsistent, r.Captured, r.Skipped, r.Length, r.Position, len(payload), r.Direction)
	}
	e.Flow.Cookie = r.Cookie
	e.Data = event.Data{
		Direction:      event.Direction(r.Direction),
		Position:       r.Position,
		Length:         r.Length,
		Skipped:        r.Skipped,
		Payload:        payload[:r.Captured:r.Captured],
		CutReason:      event.CutReason(r.CutReason),
		GapReason:      event.CutReason(r.GapReason),
		LastUnreported: r.LastUnreported,
		TID:            r.Tid,
		Goroutine: event.Goroutine{
			Number: r.Goroutine.Number, Asker: r.Goroutine.Asker, Creator: r.Goroutine.Creator, Next: r.Goroutine.Next, Block: r.Goroutine.Block,
		},
		Began:         r.Began,
		Form:          unpackForm(r.Form),
		Frame:         r.Frame,
		FrameLead:     r.FrameLead,
		FrameUnwanted: r.FrameUnwanted != 0,
		Unread:        r.Unread != 0,
		Joined:        r.Joined != 0,
		Cause: event.Cause{
			Socket: r.Cause.Cookie, Position: r.Cause.Position, Length: r.Cause.Length,
			Pending: r.Cause.Pending, Row: r.Cause.Row,
			Waited:   r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_WAITED) != 0,
			Polled:   r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_POLLED) != 0,
			Connect:  r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_CONNECT) != 0,
			Carrier:  r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_CARRIER) != 0,
			Deferred: r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_DEFERRED) != 0,
			Answered: r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_ANSWERED) != 0,
			Loop:     r.Cause.Flags&uint8(bpf.SocketflowCauseFlagCAUSE_LOOP) != 0,
		},
	}
	if r.Form != 0 && !e.Data.Form.Valid() {
		return fmt.Errorf("%w: frames of the form %+v", errInconsistent, e.Data.Form)
	}
	return nil
}

func decodeProcess(raw []byte, e *event.Event) error {
	r, err := view[bpf.SocketflowProcessEvent](raw)
	if err != nil {
		return err
	}
	e.Generation = r.Generation
	e.Flow.NetNS = r.Netns
	e.Process = &process.Snapshot{
		ID:            e.Owner,
		Comm:          text(r.Comm[:]),
		Executable:    path(r.Executable.Parts[:], r.Executable.Used),
		ExecutableCut: r.Executable.Cut != 0,
		FromExecve:    r.ExecutableFromCall != 0,
		UID:           process.UserID(r.Uid),
		Args:          bytes.Clone(octets(r.Args[:], r.ArgsLen)),
		ArgsCut:       r.ArgsCut != 0,
		Environ:       bytes.Clone(octets(r.Environ[:], r.EnvironLen)),
		EnvironCut:    r.EnvironCut != 0,
		Cgroup:        path(r.Cgroup.Parts[:], r.Cgroup.Used),
		CgroupCut:     r.Cgroup.Cut != 0,
	}
	return nil
}

// rawFlow is the anonymous type that bpf2go gives struct flow within an event.
type rawFlow = bpf.SocketflowFlow

func flow(r *rawFlow) event.Flow {
	f := event.Flow{
		Cookie:  r.Cookie,
		NetNS:   r.Netns,
		Initial: r.Initial,
		Local:   endpoint(r.Family, &r.Local, r.LocalPort),
		Remote:  endpoint(r.Family, &r.Remote, r.RemotePort),
	}
	switch bpf.SocketflowTransport(r.Transport) {
	case bpf.SocketflowTransportTRANSPORT_UNIX:
		f.Transport, f.Unix = event.UnixStream, &unnamed
	case bpf.SocketflowTransportTRANSPORT_UDP:
		f.Transport = event.UDP
	}
	if r.Source <= uint8(bpf.SocketflowAddressSourceADDRESS_SOURCE_GETPEERNAME) {
		f.AddressSource = event.AddressSource(r.Source)
	}
	if r.Role <= uint8(bpf.SocketflowRoleROLE_SERVER) {
		f.Role = event.Role(r.Role)
	}
	if f.Role != event.RoleUnknown && r.RoleSource <= uint8(bpf.SocketflowRoleSourceROLE_SOURCE_FIRST) {
		f.RoleSource = event.RoleSource(r.RoleSource)
	}
	return f
}

// unnamed is shared: nobody writes it.
var unnamed event.Unix

const (
	familyIPv4 = 2
	familyIPv6 = 10
)

func endpoint(family uint16, addr *[16]uint8, port uint16) netip.AddrPort {
	switch family {
	case familyIPv4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[:4])), port)
	case familyIPv6:
		return netip.AddrPortFrom(netip.AddrFrom16(*addr).Unmap(), port)
	default:
		return netip.AddrPort{}
	}
}

func octets(chars []int8, n uint32) []byte {
	if n > uint32(len(chars)) {
		n = uint32(len(chars))
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(chars))), len(chars))[:n]
}

func text(chars []int8) string {
	b := octets(chars, uint32(len(chars)))
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

// path joins the parts that the kernel listed last first.
func path(chars []int8, used uint32) string {
	b := octets(chars, used)
	if len(b) == 0 {
		return ""
	}
	out := make([]byte, 0, len(b))
	for end := len(b) - 1; end >= 0; { // b[end] is the NUL behind a part
		begin := bytes.LastIndexByte(b[:end], 0) + 1
		out = append(append(out, '/'), b[begin:end]...)
		end = begin - 1
	}
	return string(out)
}
