//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// Options is what is decided before the programs are loaded.
type Options struct {
	Shards      int    // ring buffers, each with a reader of its own; a power of two, at most MaxShards
	RingBytes   int    // size of each ring buffer; a power of two and a multiple of the page size
	ExcludeSelf bool   // leave out the sockets of this process
	Rules       []Rule // at most MaxRules; none: everything is observed
	Processes   int    // how many owners of sockets the kernel remembers
	Sockets     int    // how many connections are followed at a time
	Data        bool   // what connections carry is wanted too
	Unix        bool   // Unix stream sockets are followed too
	UDP         bool   // UDP flows are followed too
	// PayloadLimit and PayloadRun bound how much is captured of one call, at most MaxPayload, and of a run of calls in one
	// direction, until a Want says otherwise. Bytes.
	PayloadLimit, PayloadRun int
	// EagerRun takes the place of PayloadRun for connections that begin with one of EagerPrefixes: each 16 bytes, at most
	// MaxPrefixes of them.
	EagerRun      int
	EagerPrefixes [][]byte
	DatagramIdle  time.Duration // without a datagram, after which a UDP flow has ended: see Datagrams
}

// transfers says whether the hooks are needed that see transfers.
func (o *Options) transfers() bool { return o.Data || o.Unix || o.UDP }

// Limits of the kernel programs.
const (
	MaxShards = 8
	MaxRules  = 64
	// MaxPayload is how many bytes can be captured of one call.
	MaxPayload = 1 << 20
	// MaxPrefixes is how many beginnings can be told apart.
	MaxPrefixes = 4
)

// Capture is the loaded and attached kernel programs, and the events they write.
type Capture struct {
	objects  *ebpf.Collection
	rings    []*ebpf.Map
	policies *policies
	readers  []*Reader
	links    []link.Link
	attached []string
	degraded []error
}

// Open loads the programs and attaches them; events are written from then on. An error that wraps ErrUnsupported says
// what this kernel or these privileges lack.
func Open(opts Options) (*Capture, error) {
	if opts.Shards < 1 || opts.Shards > MaxShards || opts.Shards&(opts.Shards-1) != 0 {
		return nil, fmt.Errorf("shards must be 1, 2, 4 or %d, not %d", MaxShards, opts.Shards)
	}
	if len(opts.Rules) > MaxRules {
		return nil, fmt.Errorf("at most %d selection rules, not %d", MaxRules, len(opts.Rules))
	}
	c := &Capture{}
	if err := c.open(opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Capture) open(opts Options) error {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return unsupported("the kernel describes its types (BTF)",
			"run a kernel built with CONFIG_DEBUG_INFO_BTF=y, so that /sys/kernel/btf/vmlinux exists", err)
	}
	spec, err := bpf.LoadSocketflow()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	exits := findSyscallExits(opts)
	defer exits.close()
	c.prune(spec, types, exits, opts)
	if err := configure(spec, opts); err != nil {
		return err
	}
	if c.objects, err = ebpf.NewCollection(spec); err != nil {
		return loadError(err)
	}
	if err := c.prepare(opts); err != nil {
		return err
	}
	return c.attach(exits)
}

// prune takes out of spec what this kernel cannot attach and what is not needed on it, so that the rest loads.
func (c *Capture) prune(spec *ebpf.CollectionSpec, types *btf.Spec, exits *syscallExits, opts Options) {
	for _, h := range hooks {
		if h.transfers && !opts.transfers() {
			delete(spec.Programs, h.program)
			continue
		}
		var tracepoint *btf.Typedef
		if err := types.TypeByName("btf_trace_"+h.tracepoint, &tracepoint); err != nil && h.optional() {
			c.degraded = append(c.degraded, fmt.Errorf("the kernel has no tracepoint %s: %s", h.tracepoint, h.without))
			delete(spec.Programs, h.program)
		}
	}
	if !opts.UDP {
		delete(spec.Programs, bpf.SocketflowProgDatagramFlows)
	}
	if !opts.Unix || types.TypeByName("bpf_iter__unix", new(*btf.Struct)) != nil {
		delete(spec.Programs, bpf.SocketflowProgExistingUnix)
	}
	for _, call := range allTracedCalls {
		if !exits.found() || call.unneeded(opts) {
			delete(spec.Programs, call.program)
		}
	}
	if exits.found() {
		delete(spec.Programs, bpf.SocketflowProgAnyExit)
	}
}

func configure(spec *ebpf.CollectionSpec, opts Options) error {
	var self uint32
	if opts.ExcludeSelf {
		pid, err := selfPID(spec)
		if err != nil {
			return err
		}
		self = pid
	}
	var include, needLocalPort bool
	for _, r := range opts.Rules {
		include = include || !r.Exclude
		needLocalPort = needLocalPort || r.LocalPort != Ports{}
	}
	for name, value := range map[string]uint32{
		bpf.SocketflowVarShardMask:          uint32(opts.Shards - 1),
		bpf.SocketflowVarWakeupBytes:        uint32(opts.RingBytes / wakeupFraction),
		bpf.SocketflowVarCrowdedBytes:       uint32(opts.RingBytes / 4 * 3),
		bpf.SocketflowVarExcludedPid:        self,
		bpf.SocketflowVarRulesCount:         uint32(len(opts.Rules)),
		bpf.SocketflowVarRulesInclude:       number(include),
		bpf.SocketflowVarRulesNeedLocalPort: number(needLocalPort),
		bpf.SocketflowVarFollowData:         number(opts.Data),
		bpf.SocketflowVarFollowUnix:         number(opts.Unix),
		bpf.SocketflowVarFollowUdp:          number(opts.UDP),
		bpf.SocketflowVarPayloadLimit:       uint32(min(opts.PayloadLimit, MaxPayload)),
		bpf.SocketflowVarPayloadRun:         uint32(opts.PayloadRun),
		bpf.SocketflowVarPayloadRunEager:    uint32(opts.EagerRun),
		bpf.SocketflowVarPolicyMask:         slots(opts) - 1,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if err := setPrefixes(spec, opts.EagerPrefixes); err != nil {
		return err
	}
	if err := spec.Variables[bpf.SocketflowVarDatagramIdle].Set(uint64(opts.DatagramIdle)); err != nil {
		return fmt.Errorf("set %s: %w", bpf.SocketflowVarDatagramIdle, err)
	}
	spec.Maps[bpf.SocketflowMapRings].InnerMap.MaxEntries = uint32(opts.RingBytes)
	if opts.Data {
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return fmt.Errorf("count the CPUs: %w", err)
		}
		spec.Maps[bpf.SocketflowMapDrafts].MaxEntries = uint32(cpus) * uint32(event.Directions)
	}
	spec.Maps[bpf.SocketflowMapPolicies].MaxEntries = slots(opts)
	if opts.UDP {
		spec.Maps[bpf.SocketflowMapDatagrams].MaxEntries = uint32(max(1, min(opts.Sockets, maxSlots)))
	}
	processes := uint32(max(opts.Processes, 1))
	spec.Maps[bpf.SocketflowMapProcesses].MaxEntries = processes
	if len(opts.Rules) > 0 {
		spec.Maps[bpf.SocketflowMapVerdicts].MaxEntries = processes
		spec.Maps[bpf.SocketflowMapAccepted].MaxEntries = acceptedEntries
	}
	return nil
}

func setPrefixes(spec *ebpf.CollectionSpec, prefixes [][]byte) error {
	var raw [MaxPrefixes]bpf.SocketflowPrefix
	if len(prefixes) > len(raw) {
		return fmt.Errorf("at most %d eager prefixes, not %d", len(raw), len(prefixes))
	}
	for i, prefix := range prefixes {
		if len(prefix) != len(raw[i].Bytes)*8 {
			return fmt.Errorf("an eager prefix has %d bytes, not %d", len(raw[i].Bytes)*8, len(prefix))
		}
		for word := range raw[i].Bytes {
			raw[i].Bytes[word] = binary.NativeEndian.Uint64(prefix[word*8:])
		}
	}
	if err := spec.Variables[bpf.SocketflowVarEagerPrefixes].Set(raw); err != nil {
		return fmt.Errorf("set %s: %w", bpf.SocketflowVarEagerPrefixes, err)
	}
	return nil
}

const (
	// wakeupFraction of a ring buffer, filled, wakes its reader before the timer does. A quarter leaves the reader three
	// quarters of the buffer's time to get to run.
	wakeupFraction = 4
	// acceptedEntries bounds the open accepted connections whose selection is remembered (16 bytes and overhead each).
	acceptedEntries = 65536
)

func number(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// selfPID asks the kernel, because os.Getpid is the number within this process' own pid namespace.
func selfPID(spec *ebpf.CollectionSpec) (uint32, error) {
	program, err := ebpf.NewProgram(spec.Programs[bpf.SocketflowProgSelfPid])
	if err != nil {
		return 0, loadError(err)
	}
	pid, runErr := program.Run(&ebpf.RunOptions{})
	if err := errors.Join(runErr, program.Close()); err != nil {
		return 0, fmt.Errorf("ask the kernel for this process' pid: %w", err)
	}
	return pid, nil
}

// prepare fills the maps that the programs read.
func (c *Capture) prepare(opts Options) error {
	for i := range uint32(opts.Shards) {
		ring, err := ebpf.NewMap(&ebpf.MapSpec{
			Name: "sf_ring", Type: ebpf.RingBuf, MaxEntries: uint32(opts.RingBytes),
		})
		if err != nil {
			return fmt.Errorf("create a ring buffer of %d bytes: %w", opts.RingBytes, err)
		}
		c.rings = append(c.rings, ring)
		if err := c.objects.Maps[bpf.SocketflowMapRings].Put(i, ring); err != nil {
			return fmt.Errorf("install ring buffer %d: %w", i, err)
		}
		reader, err := ringbuf.NewReader(ring)
		if err != nil {
			return fmt.Errorf("map ring buffer %d: %w", i, err)
		}
		c.readers = append(c.readers, &Reader{ring: reader})
	}
	if opts.Data {
		var err error
		if c.policies, err = mapPolicies(c.objects.Maps[bpf.SocketflowMapPolicies]); err != nil {
			return err
		}
	}
	for i, r := range opts.Rules {
		if err := c.objects.Maps[bpf.SocketflowMapRules].Put(uint32(i), r.raw()); err != nil {
			return fmt.Errorf("install selection rule %d: %w", i, err)
		}
	}
	return nil
}

// Readers are the ring buffers' readers, one per shard. Every event of a socket comes through the same one.
func (c *Capture) Readers() []*Reader { return c.readers }

// Attached names the hooks that were attached.
func (c *Capture) Attached() []string { return c.attached }

// Degraded says what this kernel lacks that the capture can do without, and what is lost with it.
func (c *Capture) Degraded() []error { return c.degraded }

// Detach ends the writing of events; what has been written can still be read.
func (c *Capture) Detach() error {
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.Close())
	}
	c.links = nil
	return errors.Join(errs...)
}

// Close releases everything. Readers must no longer be in use.
func (c *Capture) Close() error {
	errs := []error{c.Detach()}
	for _, r := range c.readers {
		errs = append(errs, r.ring.Close())
	}
	if c.policies != nil {
		errs = append(errs, c.policies.close())
		c.policies = nil
	}
	for _, m := range c.rings {
		errs = append(errs, m.Close())
	}
	if c.objects != nil {
		c.objects.Close()
	}
	c.readers, c.rings, c.objects = nil, nil, nil
	return errors.Join(errs...)
}

// Reader reads one shard's events. It is for one goroutine.
type Reader struct {
	ring   *ringbuf.Reader
	record ringbuf.Record
}

// Errors of Reader.Next that are no failures.
var (
	ErrIdle = os.ErrDeadlineExceeded // nothing came until the deadline
	ErrEnd  = ringbuf.ErrFlushed     // Flush was called, and all that had been written has been read
)

// Next decodes the next event into e, waiting for it until the deadline of SetDeadline. A *DecodeError concerns one
// record only; reading can go on.
func (r *Reader) Next(e *event.Event) error {
	if err := r.ring.ReadInto(&r.record); err != nil {
		return err
	}
	if err := decode(r.record.RawSample, e); err != nil {
		return &DecodeError{err}
	}
	return nil
}

// SetDeadline bounds how long Next waits. Events written meanwhile are read before it returns ErrIdle.
func (r *Reader) SetDeadline(t time.Time) { r.ring.SetDeadline(t) }

// Flush makes Next return what has been written and then ErrEnd.
func (r *Reader) Flush() error { return r.ring.Flush() }

// Fill is how much of the ring buffer waits to be read, from 0 to 1.
func (r *Reader) Fill() float64 {
	return float64(r.ring.AvailableBytes()) / float64(r.ring.BufferSize())
}

// DecodeError is a record that is not an event.
type DecodeError struct{ err error }

func (e *DecodeError) Error() string { return "decode event: " + e.err.Error() }

func (e *DecodeError) Unwrap() error { return e.err }
