//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/procfs"
)

// Options are fixed before the programs are loaded.
type Options struct {
	Shards      int    // ring buffers, each with a reader of its own; a power of two, at most MaxShards
	RingBytes   int    // size of each ring buffer; a power of two and a multiple of the page size
	ExcludeSelf bool   // leave out the sockets of this process
	Rules       []Rule // at most MaxRules; none: everything is observed
	Processes   int    // how many owners of sockets the kernel remembers
	Sockets     int    // how many connections are followed at a time
	Data        bool   // payload of connections is captured too
	Unix        bool   // Unix stream sockets are followed too
	UDP         bool   // UDP flows are followed too
	// DatagramData means that payload of UDP flows is captured too: until a Want says how much, only a small part of each flow.
	DatagramData bool
	// Causes means that the data events of sent bytes say what the thread had received last.
	Causes bool
	// TLS means that the plaintext of TLS libraries is captured, once they are attached: see AttachLibrary.
	TLS bool
	// PayloadLimit and PayloadBurst bound how much is captured of one call, at most MaxPayload, and of a burst of calls in one
	// direction, until a Want says otherwise. Bytes.
	PayloadLimit, PayloadBurst int
	// SignatureBurst takes the place of PayloadBurst for connections that begin with one of Signatures, at most MaxSignatures of them.
	SignatureBurst int
	Signatures     []Signature
	// Attachment is how transfers are seen; any by default.
	Attachment Attachment
	// WholeOrNothing makes opening fail if the hooks for transfers are needed and the kernel lacks them.
	WholeOrNothing bool
	DatagramIdle   time.Duration // without a datagram, after which a UDP flow has ended: see Datagrams

	// Fault refuses programs; for tests.
	Fault Fault

	alwaysBackup bool // as on kernels where tasks are preempted within programs; for tests
	uring        bool // it is found out where io_uring has its bytes: see knowsUring
}

// transfers reports whether the hooks for transfers are needed.
func (o *Options) transfers() bool { return o.Data || o.Unix || o.UDP }

// payload reports whether payload of anything is captured.
func (o *Options) payload() bool { return o.Data || o.datagramData() }

func (o *Options) datagramData() bool { return o.UDP && o.DatagramData }

// Limits of the kernel programs.
const (
	MaxShards = 8
	MaxRules  = 64
	// MaxPayload is how many bytes can be captured of one call.
	MaxPayload = 1 << 20
	// MaxSignatures is how many beginnings of connections can be recognised.
	MaxSignatures = 4
)

func (o *Options) check() error {
	if o.Shards < 1 || o.Shards > MaxShards || o.Shards&(o.Shards-1) != 0 {
		return fmt.Errorf("shards must be 1, 2, 4 or %d, not %d", MaxShards, o.Shards)
	}
	if len(o.Rules) > MaxRules {
		return fmt.Errorf("at most %d selection rules, not %d", MaxRules, len(o.Rules))
	}
	return nil
}

// SocketTracer is the loaded and attached kernel programs of the socket mode, and the events they write.
type SocketTracer struct {
	programs
	iterators          sync.Mutex // one iteration at a time: the programs have one variable that says what it is about
	livePass, flowPass uint32     // of the last pass
}

// OpenSockets loads the programs and attaches them. Events are written from then on. An error that wraps ErrUnsupported says
// what this kernel or these privileges lack.
func OpenSockets(opts Options) (*SocketTracer, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	c := &SocketTracer{}
	if err := c.open(opts); err != nil {
		return nil, &openError{errors.Join(err, c.Close()), c.status}
	}
	return c, nil
}

func (c *SocketTracer) open(opts Options) error {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return unsupported(socketMode, "the kernel describes its types (BTF)",
			"run a kernel built with CONFIG_DEBUG_INFO_BTF=y, so that /sys/kernel/btf/vmlinux exists", err)
	}
	spec, err := bpf.LoadSocketflow()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	if opts.TLS {
		c.seekLibraries(&opts)
	}
	opts.uring = opts.payload() && knowsUring(types)
	backup := opts.alwaysBackup || tracepointsArePreemptible(types)
	if err := c.configure(spec, opts, backup); err != nil {
		return err
	}
	if c.objects, err = loadMaps(spec); err != nil {
		return refusal(socketMode, newer[socketMode], err)
	}
	if err := c.proveStorage(); err != nil {
		return err
	}
	if err := c.prepare(opts); err != nil {
		return err
	}
	for i, r := range opts.Rules {
		if err := c.objects.Maps[bpf.SocketflowMapRules].Put(uint32(i), r.raw()); err != nil {
			return fmt.Errorf("install selection rule %d: %w", i, err)
		}
	}
	h := &socketHooks{types: types}
	h.tracefs, h.noTracefs = openTracefs()
	defer h.close()
	in := &installer{mode: socketMode, spec: spec, programs: &c.programs, fault: opts.Fault, attach: h.attach, absent: h.absent}
	return in.install(c.features(opts, backup))
}

func (c *SocketTracer) configure(spec *ebpf.CollectionSpec, opts Options, backup bool) error {
	if err := c.configureAll(spec, opts); err != nil {
		return err
	}
	addBackups(spec, bpf.SocketflowProgSockState)
	if err := configureBufs(spec, opts, backup && opts.transfers() && opts.Attachment != AttachFunction); err != nil {
		return err
	}
	if opts.TLS {
		if err := c.configureTLS(spec, opts); err != nil {
			return err
		}
	}
	var include, needLocalPort bool
	for _, r := range opts.Rules {
		include = include || !r.Exclude
		needLocalPort = needLocalPort || r.LocalPort != ports.Range{}
	}
	if err := set(spec, map[string]any{
		bpf.SocketflowVarRulesCount:         uint32(len(opts.Rules)),
		bpf.SocketflowVarRulesInclude:       number(include),
		bpf.SocketflowVarRulesNeedLocalPort: number(needLocalPort),
		bpf.SocketflowVarDatagramIdle:       uint64(opts.DatagramIdle),
		bpf.SocketflowVarFlowsPerStep:       uint32(max(16, opts.RingBytes/flowStepFraction)),
	}); err != nil {
		return err
	}
	if opts.Data {
		spec.Maps[bpf.SocketflowMapWaits].MaxEntries = waitsEntries
		if err := set(spec, map[string]any{bpf.SocketflowVarWaitsMask: uint32(waitsEntries - 1)}); err != nil {
			return err
		}
	}
	if opts.uring {
		if err := configureUring(spec); err != nil {
			return err
		}
	}
	if opts.Causes {
		spec.Maps[bpf.SocketflowMapCauses].MaxEntries = causesEntries
		spec.Maps[bpf.SocketflowMapGoRoots].MaxEntries = goRootsEntries
		if err := set(spec, map[string]any{bpf.SocketflowVarCausesMask: uint32(causesEntries - 1)}); err != nil {
			return err
		}
	}
	if len(opts.Rules) > 0 {
		spec.Maps[bpf.SocketflowMapRuleMatches].MaxEntries = uint32(max(opts.Processes, 1))
		spec.Maps[bpf.SocketflowMapAccepted].MaxEntries = acceptedEntries
	}
	return nil
}

// configureAll sets the constants that the programs of both modes have.
func (c *programs) configureAll(spec *ebpf.CollectionSpec, opts Options) error {
	c.self = c.excludedPID(spec, opts)
	if err := set(spec, map[string]any{
		bpf.SocketflowVarShardMask:          uint32(opts.Shards - 1),
		bpf.SocketflowVarWakeupBytes:        uint32(opts.RingBytes / wakeupFraction),
		bpf.SocketflowVarCrowdedBytes:       uint32(opts.RingBytes / 4 * 3),
		bpf.SocketflowVarExcludedPid:        c.self,
		bpf.SocketflowVarFollowData:         number(opts.Data),
		bpf.SocketflowVarFollowUnix:         number(opts.Unix),
		bpf.SocketflowVarFollowUdp:          number(opts.UDP),
		bpf.SocketflowVarFollowDatagramData: number(opts.datagramData()),
		bpf.SocketflowVarPayloadLimit:       uint32(min(opts.PayloadLimit, MaxPayload)),
		bpf.SocketflowVarPayloadBurst:       uint32(opts.PayloadBurst),
		bpf.SocketflowVarSignatureBurst:     uint32(opts.SignatureBurst),
		bpf.SocketflowVarPolicyMask:         slots(opts) - 1,
	}); err != nil {
		return err
	}
	if err := setSignatures(spec, opts.Signatures); err != nil {
		return err
	}
	spec.Maps[bpf.SocketflowMapRings].InnerMap.MaxEntries = uint32(opts.RingBytes)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	spec.Maps[bpf.SocketflowMapCounters].MaxEntries = uint32(cpus) * uint32(bpf.SocketflowCounterCOUNTERS_STRIDE)
	if opts.payload() {
		spec.Maps[bpf.SocketflowMapEventBufs].MaxEntries = uint32(cpus) * uint32(event.Directions)
	}
	spec.Maps[bpf.SocketflowMapPolicies].MaxEntries = slots(opts)
	if opts.UDP {
		flows := datagramFlows(opts.Sockets)
		spec.Maps[bpf.SocketflowMapDatagrams].MaxEntries = uint32(flows)
		begun := powerOfTwo(4 * flows)
		spec.Maps[bpf.SocketflowMapBegunFlows].MaxEntries = begun
		if err := set(spec, map[string]any{bpf.SocketflowVarBegunFlowsMask: begun - 1}); err != nil {
			return err
		}
	}
	spec.Maps[bpf.SocketflowMapProcesses].MaxEntries = uint32(max(opts.Processes, 1))
	return nil
}

// excludedPID is the pid of this process, if it is to be left out. If the kernel program cannot return it, os.Getpid is used, unless this
// process is in another pid namespace than the initial one.
func (c *programs) excludedPID(spec *ebpf.CollectionSpec, opts Options) uint32 {
	if !opts.ExcludeSelf {
		return 0
	}
	status := ProgramStatus{Program: bpf.SocketflowProgSelfPid, Hook: runHook}
	pid, err := selfPID(spec, opts.Fault)
	if err != nil {
		status.State, status.Err, status.By = ProgramReplaced, err, "getpid"
		pid = uint32(os.Getpid())
		if !procfs.SeesAllProcesses() {
			status.State, status.By, status.Without, pid = ProgramRefused, "", withoutSelfPID, 0
			c.degraded = append(c.degraded, fmt.Errorf("%s: %w", withoutSelfPID, err))
		}
	}
	c.status = append(c.status, status)
	return pid
}

const withoutSelfPID = "the collector's own sockets are observed, too"

// set sets constants of the programs.
func set(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// datagramFlows is how many UDP flows the kernel counts at a time, of so many sockets: some 300 bytes each with its overhead, allocated at
// the start. If there are more flows than entries, the ones that were used least recently give way. A flow that goes on after that is
// begun again, and counted as reopened; one that does not has no end in the telemetry but the one that its missing reports lead to.
func datagramFlows(sockets int) int {
	const few, most = 1 << 14, 1 << 18
	return max(1, min(sockets, max(few, sockets/2), most))
}

const (
	// wakeupFraction of a ring buffer, filled, wakes its reader before the timer does. A quarter leaves the reader three
	// quarters of the buffer's time to get to run.
	wakeupFraction = 4
	// flowStepFraction of a ring buffer's bytes is how many UDP flows one step of a pass reports, some 200 bytes each at the most: a
	// quarter of the ring buffer, if all belong to it.
	flowStepFraction = 800
	// waitsEntries is how many threads may wait within a call that sends without taking each other's slot (56 bytes each). A power of two.
	waitsEntries = 4096
	// causesEntries is how many threads may send and receive without taking each other's slot (72 bytes each). A power of two.
	causesEntries = 16384
	// goRootsEntries is how many functions of Go programs are remembered that goroutines run (24 bytes each).
	goRootsEntries = 1024
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
func selfPID(spec *ebpf.CollectionSpec, fault Fault) (uint32, error) {
	err := fault.at(StageLoad, bpf.SocketflowProgSelfPid)
	if err != nil {
		return 0, err
	}
	program, err := ebpf.NewProgram(spec.Programs[bpf.SocketflowProgSelfPid])
	if err != nil {
		return 0, err
	}
	err = fault.at(StageAttach, bpf.SocketflowProgSelfPid)
	var pid uint32
	if err == nil {
		pid, err = program.Run(&ebpf.RunOptions{})
	}
	return pid, errors.Join(err, program.Close())
}
