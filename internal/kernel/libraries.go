//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/bpf"
)

// LibraryProbe is an address in a TLS library, and what happens there.
type LibraryProbe struct {
	Offset uint64 // of the instruction in the file
	Kind   LibraryProbeKind
	Depth  uint32 // how far the stack pointer is below its value at the function's first instruction, bytes
	Result uint32 // how far the result is below that value; 0: it is in its register
	Push   PushRegisters
	Kept   KeptArguments
}

// KeptArguments says where a call has its arguments when it ends: see tlslib.Kept.
type KeptArguments struct {
	Known                            bool
	Object, Bytes, Count, Zero, Type uint8
}

// PushRegisters says which general registers have the arguments of GnuTLSPush and GnuTLSPushVector.
type PushRegisters struct {
	Session, Bytes, Count uint8
	Displacement          int16 // added to what the register Bytes has
}

// LibraryProbeKind is what happens at a LibraryProbe.
type LibraryProbeKind uint64

// The kinds: entries and exits of calls with the arguments of SSL_read and SSL_write, and entries of what ties an SSL to its records. The
// calls that end with Ex have a fourth argument, which says where the number of bytes goes; File is a write of bytes that are in a file. Those that begin with Go are
// about the methods Read, Write and write of crypto/tls.Conn. Those of GnuTLSPush are ahead of calls that send records: of bytes, or of a vector.
const (
	ReadEnter    = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_ENTER | bpf.SocketflowTlsProbeTLS_READ)
	ReadExit     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_EXIT | bpf.SocketflowTlsProbeTLS_READ)
	WriteEnter   = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_ENTER | bpf.SocketflowTlsProbeTLS_WRITE)
	WriteExit    = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_EXIT | bpf.SocketflowTlsProbeTLS_WRITE)
	ReadExEnter  = ReadEnter | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	ReadExExit   = ReadExit | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	WriteExEnter = WriteEnter | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	WriteExExit  = WriteExit | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_BY_POINTER)
	FileEnter    = WriteEnter | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_FILE)
	FileExit     = WriteExit | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_FILE)
	BIOWrite     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_BIO_WRITE)
	SetBIO       = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_SET_BIO)
	SetWriteBIO  = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_SET_WBIO)
	GoReadEnter  = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_ENTER | bpf.SocketflowTlsProbeTLS_READ)
	GoReadExit   = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_EXIT | bpf.SocketflowTlsProbeTLS_READ)
	GoWriteEnter = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_ENTER | bpf.SocketflowTlsProbeTLS_WRITE)
	GoRecord     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GO_RECORD)

	GnuTLSReadEnter   = ReadEnter | gnuTLS
	GnuTLSReadExit    = ReadExit | gnuTLS
	GnuTLSWriteEnter  = WriteEnter | gnuTLS
	GnuTLSWriteExit   = WriteExit | gnuTLS
	GnuTLSUncorkEnter = GnuTLSWriteEnter | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_UNCORK)
	GnuTLSUncorkExit  = GnuTLSWriteExit | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_UNCORK)
	GnuTLSPush        = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_PUSH)
	GnuTLSPushVector  = GnuTLSPush | LibraryProbeKind(bpf.SocketflowTlsProbeTLS_PUSH_VECTOR)

	gnuTLS = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GNUTLS)
)

// What a LibraryProbe may have beside its kind: see tlslib.Probe.
const (
	CountMoved = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_COUNT_MOVED)
	GoesOn     = LibraryProbeKind(bpf.SocketflowTlsProbeTLS_GOES_ON)
)

// Library is a TLS library whose calls are seen, in whichever process, until it is closed.
type Library struct {
	links  []link.Link
	probes *atomic.Int64 // those that are attached one by one; nil: these are not
}

// Close detaches the program from the library. It takes some 10 to 100 ms for each link, of which there is one, or one for each probe: the kernel
// waits each time until no CPU is in the program, and at probes for one after the other, whoever closes them.
func (l *Library) Close() error {
	var errs []error
	for _, made := range l.links {
		errs = append(errs, made.Close())
	}
	if l.probes != nil {
		l.probes.Add(-int64(len(l.links)))
	}
	return errors.Join(errs...)
}

// SeesLibraries reports whether AttachLibrary works.
func (c *programs) SeesLibraries() bool {
	return c.objects.Programs[bpf.SocketflowProgTlsCall] != nil
}

// EndLayer forgets the plaintext of a connection that has ended, by its layer's cookie, so that no other one has to give way to it.
func (c *programs) EndLayer(cookie uint64) {
	_ = c.objects.Maps[bpf.SocketflowMapTlsLayers].Delete(cookie) // it may have had to give way already
}

// AttachLibrary sees the calls of the library in a file, in all processes that have mapped it or will. The options must have had TLS.
func (c *programs) AttachLibrary(path string, probes []LibraryProbe) (*Library, error) {
	program := c.objects.Programs[bpf.SocketflowProgTlsCall]
	if program == nil {
		return nil, fmt.Errorf("%w: TLS libraries are not observed", ErrUnsupported)
	}
	file, err := link.OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	if c.libraryHook == probeHook {
		return c.attachEach(file, program, probes)
	}
	o := &link.UprobeMultiOptions{}
	for i := range probes {
		o.Addresses, o.Cookies = append(o.Addresses, probes[i].Offset), append(o.Cookies, probes[i].cookie())
	}
	made, err := file.UprobeMulti(nil, program, o)
	if err != nil {
		return nil, err
	}
	return &Library{links: []link.Link{made}}, nil
}

// cookie is what the program is attached with: see enum tls_probe.
func (p *LibraryProbe) cookie() uint64 {
	if p.Kind&^1 != GnuTLSPush {
		cookie := uint64(p.Kind) | uint64(p.Depth)<<bpf.SocketflowTlsProbeTLS_DEPTH_SHIFT | uint64(p.Result)<<bpf.SocketflowTlsProbeTLS_RESULT_SHIFT
		return cookie | p.Kept.cookie()
	}
	r := &p.Push
	return uint64(p.Kind) | uint64(r.Session)<<bpf.SocketflowTlsProbeTLS_PUSH_SESSION_SHIFT | uint64(r.Bytes)<<bpf.SocketflowTlsProbeTLS_PUSH_BYTES_SHIFT |
		uint64(r.Count)<<bpf.SocketflowTlsProbeTLS_PUSH_COUNT_SHIFT | uint64(uint16(r.Displacement))<<bpf.SocketflowTlsProbeTLS_PUSH_DISPLACEMENT_SHIFT
}

func (k *KeptArguments) cookie() uint64 {
	if !k.Known {
		return 0
	}
	return uint64(bpf.SocketflowTlsProbeTLS_KEPT) | uint64(k.Object)<<bpf.SocketflowTlsProbeTLS_KEPT_OBJECT_SHIFT |
		uint64(k.Bytes)<<bpf.SocketflowTlsProbeTLS_KEPT_BYTES_SHIFT | uint64(k.Count)<<bpf.SocketflowTlsProbeTLS_KEPT_COUNT_SHIFT |
		uint64(k.Zero)<<bpf.SocketflowTlsProbeTLS_KEPT_ZERO_SHIFT | uint64(k.Type)<<bpf.SocketflowTlsProbeTLS_KEPT_TYPE_SHIFT
}

// Bounds of what is remembered of TLS. If there is more, what was used least recently gives way.
const (
	tlsMarks    = 4096  // records that have been written and not been sent
	tlsThreads  = 4096  // within calls; and as many goroutines
	tlsCalls    = 16384 // of C libraries: under way, or the last ones of their frames, some 130 bytes each
	tlsLayers   = 8192  // connections, some 500 bytes each with all that is known of them
	tlsEarly    = 64    // connections whose socket is not known yet, 33 KiB each
	tlsWaited   = 4096  // of which it is known that they had to give way
	executables = 4096  // files of programs
	tlsBufs     = 2     // TLS_BUFS in bpf/tls_calls.h
)

func (c *programs) configureTLS(spec *ebpf.CollectionSpec, opts Options) error {
	if c.libraryHook == probeHook {
		spec.Programs[bpf.SocketflowProgTlsCall].AttachType = ebpf.AttachNone
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	layers := uint32(min(max(opts.Sockets, 1), tlsLayers))
	spec.Maps[bpf.SocketflowMapTlsMarks].MaxEntries = tlsMarks
	spec.Maps[bpf.SocketflowMapTlsThreads].MaxEntries = tlsThreads
	spec.Maps[bpf.SocketflowMapTlsCalls].MaxEntries = tlsCalls
	spec.Maps[bpf.SocketflowMapGoCalls].MaxEntries = tlsThreads
	spec.Maps[bpf.SocketflowMapTlsLayers].MaxEntries = layers
	spec.Maps[bpf.SocketflowMapTlsTies].MaxEntries = layers
	spec.Maps[bpf.SocketflowMapTlsWriters].MaxEntries = layers
	spec.Maps[bpf.SocketflowMapTlsProcesses].MaxEntries = uint32(max(opts.Processes, 1))
	spec.Maps[bpf.SocketflowMapTlsEarly].MaxEntries = tlsEarly
	spec.Maps[bpf.SocketflowMapTlsWaited].MaxEntries = tlsWaited
	spec.Maps[bpf.SocketflowMapExecutables].MaxEntries = executables
	bufs := uint32(cpus) * tlsBufs
	first := spec.Maps[bpf.SocketflowMapEventBufs].MaxEntries
	spec.Maps[bpf.SocketflowMapTlsBufs].MaxEntries = bufs
	spec.Maps[bpf.SocketflowMapEventBufs].MaxEntries = first + bufs
	return set(spec, map[string]any{
		bpf.SocketflowVarFollowTls: uint32(1), bpf.SocketflowVarEventBufsTls: first,
	})
}
