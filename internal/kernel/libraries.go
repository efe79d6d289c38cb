//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// LibraryProbe is an address in a TLS library, and what happens there.
type LibraryProbe struct {
	Offset uint64 // of the instruction in the file
	Kind   LibraryProbeKind
	Depth  uint32 // how far the stack pointer is below its value at the function's first instruction, bytes
	Result uint32 // how far the result is below that value; 0: it is in its register
}

// cookie is what the program finds at the probe.
func (p *LibraryProbe) cookie() uint64 {
	return uint64(p.Kind) | uint64(p.Depth)<<bpf.SocketflowTlsProbeTLS_DEPTH_SHIFT | uint64(p.Result)<<bpf.SocketflowTlsProbeTLS_RESULT_SHIFT
}

// LibraryProbeKind is what happens at a LibraryProbe.
type LibraryProbeKind uint64

// The kinds: entries and exits of calls with the arguments of SSL_read and SSL_write, and entries of what ties an SSL to its records. The
// calls that end with Ex have a fourth argument, which says where the number of bytes goes. Those that begin with Go are about the methods Read,
// Write and write of crypto/tls.Conn.
const (
	ReadEnter    = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_ENTER | bpf.SocketflowTlsProbeTLS_READ)
	ReadExit     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_EXIT | bpf.SocketflowTlsProbeTLS_READ)
	WriteEnter   = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_ENTER | bpf.SocketflowTlsProbeTLS_WRITE)
	WriteExit    = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_EXIT | bpf.SocketflowTlsProbeTLS_WRITE)
	ReadExEnter  = ReadEnter | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	ReadExExit   = ReadExit | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	WriteExEnter = WriteEnter | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	WriteExExit  = WriteExit | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	BIOWrite     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_BIO_WRITE)
	SetBIO       = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_SET_BIO)
	SetWriteBIO  = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_SET_WBIO)
	GoReadEnter  = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_ENTER | bpf.SocketflowTlsProbeTLS_READ)
	GoReadExit   = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_EXIT | bpf.SocketflowTlsProbeTLS_READ)
	GoWriteEnter = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_ENTER | bpf.SocketflowTlsProbeTLS_WRITE)
	GoRecord     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_RECORD)
)

// What a LibraryProbe may have beside its kind: see tlslib.Probe.
const (
	CountMoved = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_MOVED)
	GoesOn     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GOES_ON)
)

// Library is a TLS library whose calls are seen, in whichever process, until it is closed.
type Library struct{ link link.Link }

// Close detaches the program from the library, which takes tens of milliseconds.
func (l *Library) Close() error { return l.link.Close() }

// SeesLibraries reports whether AttachLibrary works.
func (c *SocketTracer) SeesLibraries() bool {
	return c.objects.Programs[bpf.SocketflowProgTlsCall] != nil
}

// AttachLibrary sees the calls of the library in a file, in all processes that have mapped it or will. The options must have had TLS.
func (c *SocketTracer) AttachLibrary(path string, probes []LibraryProbe) (*Library, error) {
	program := c.objects.Programs[bpf.SocketflowProgTlsCall]
	if program == nil {
		return nil, fmt.Errorf("%w: TLS libraries are not observed", ErrUnsupported)
	}
	file, err := link.OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	o := &link.UprobeMultiOptions{}
	for i := range probes {
		o.Addresses, o.Cookies = append(o.Addresses, probes[i].Offset), append(o.Cookies, probes[i].cookie())
	}
	made, err := file.UprobeMulti(nil, program, o)
	if err != nil {
		return nil, err
	}
	return &Library{made}, nil
}

// seekLibraries takes TLS from the options if the kernel cannot attach programs to libraries.
func (c *SocketTracer) seekLibraries(opts *Options) {
	err := opts.Fault.at(StageLoad, bpf.SocketflowProgTlsCall)
	if err == nil {
		err = hasPrivateStacks()
	}
	if err == nil {
		err = proveLibraries()
	}
	if err == nil {
		return
	}
	opts.TLS = false
	c.status = append(c.status, ProgramStatus{Program: bpf.SocketflowProgTlsCall, Hook: libraryHook, State: ProgramRefused, Without: withoutTLS, Err: err})
	c.degraded = append(c.degraded, fmt.Errorf("%s: %w", withoutTLS, err))
}

// Bounds of what is remembered of TLS. If there is more, what was used least recently gives way.
const (
	tlsMarks    = 4096 // records that have been written and not been sent
	tlsThreads  = 4096 // within calls; and as many goroutines
	tlsLayers   = 8192 // connections, some 500 bytes each with all that is known of them
	tlsEarly    = 64   // connections whose socket is not known yet, 33 KiB each
	executables = 4096 // files of programs
	tlsBufs     = 2    // TLS_BUFS in bpf/tls_calls.h
)

func configureTLS(spec *ebpf.CollectionSpec, opts Options) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	layers := uint32(min(max(opts.Sockets, 1), tlsLayers))
	spec.Maps[bpf.SocketflowMapTlsMarks].MaxEntries = tlsMarks
	spec.Maps[bpf.SocketflowMapTlsThreads].MaxEntries = tlsThreads
	spec.Maps[bpf.SocketflowMapGoCalls].MaxEntries = tlsThreads
	spec.Maps[bpf.SocketflowMapTlsLayers].MaxEntries = layers
	spec.Maps[bpf.SocketflowMapTlsTies].MaxEntries = layers
	spec.Maps[bpf.SocketflowMapTlsWriters].MaxEntries = layers
	spec.Maps[bpf.SocketflowMapTlsProcesses].MaxEntries = uint32(max(opts.Processes, 1))
	spec.Maps[bpf.SocketflowMapTlsEarly].MaxEntries = tlsEarly
	spec.Maps[bpf.SocketflowMapExecutables].MaxEntries = executables
	bufs := uint32(cpus) * tlsBufs
	first := spec.Maps[bpf.SocketflowMapEventBufs].MaxEntries
	spec.Maps[bpf.SocketflowMapTlsBufs].MaxEntries = bufs
	spec.Maps[bpf.SocketflowMapEventBufs].MaxEntries = first + bufs
	return set(spec, map[string]any{
		bpf.SocketflowVarFollowTls: uint32(1), bpf.SocketflowVarEventBufsTls: first,
	})
}

// proveLibraries finds out whether the kernel attaches a program to many addresses of a file at once (Linux 6.6): it is asked to do so in a
// process that there is not.
func proveLibraries() error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sf_probe", Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceUprobeMulti, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err
	}
	defer program.Close() //nolint:errcheck // it was never attached
	self, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		return err
	}
	made, err := self.UprobeMulti(nil, program, &link.UprobeMultiOptions{Addresses: []uint64{1}, PID: math.MaxInt32})
	if errors.Is(err, os.ErrNotExist) { // ESRCH, as the link package has it
		return nil
	}
	if err == nil {
		return made.Close()
	}
	return err
}

// hasPrivateStacks reports whether programs have stacks of their own (Linux 6.13): those of a chain of calls that ties a socket have more than 512 bytes.
func hasPrivateStacks() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	var major, minor int
	release := unix.ByteSliceToString(name.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || major < 6 || major == 6 && minor < 13 {
		return fmt.Errorf("it takes Linux 6.13, and this is %s", release)
	}
	return nil
}
