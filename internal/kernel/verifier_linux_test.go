//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// verifierEnough leaves room below the million instructions after which the verifier gives up, because each kernel counts otherwise. It is far below: a
// receiver verifies all programs at its start, and a loop whose body is verified for each turn shows here.
const verifierEnough = 200_000

// TestVerifierInstructions logs what the verifier has to do for each program of each mode, in lines that internal/integration/vmtest reads
// on every kernel: "verifier <mode> <program> <instructions>", and "attachment <how>".
func TestVerifierInstructions(t *testing.T) {
	for mode, specify := range map[string]func(*testing.T, Options) *ebpf.CollectionSpec{
		"socket": socketSpec, "syscall": syscallSpec,
	} {
		t.Run(mode, func(t *testing.T) {
			needPrivilege(t)
			must(t, rlimit.RemoveMemlock())
			spec := specify(t, Options{
				Shards: 1, RingBytes: 1 << 20, Processes: 64, Sockets: 64, Data: true, Unix: true, UDP: true, DatagramData: true,
				Causes: true, TLS: true, PayloadLimit: testLimit, PayloadBurst: testBurst, SignatureBurst: testBurst, Signatures: differentSignatures(),
			})
			t.Logf("attachment %s", attachmentOf(spec))
			for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
				n, err := verify(spec, name)
				if name == bpf.SocketflowProgFileMapped && errors.Is(err, unix.EPERM) { // not the verifier's: this host lets nobody trace functions
					t.Logf("verifier %s %s refused by the host", mode, name)
					continue
				}
				if refused := (*ebpf.VerifierError)(nil); errors.As(err, &refused) {
					t.Errorf("program %s: %v\n%-100v", name, err, refused) // the end of the log says why
					continue
				}
				if err != nil || n > verifierEnough {
					t.Errorf("program %s: %d instructions verified, want at most %d: %v", name, n, verifierEnough, err)
				}
				t.Logf("verifier %s %s %d", mode, name, n)
			}
		})
	}
}

// attachmentOf is where the programs for transfers are attached on this kernel.
func attachmentOf(spec *ebpf.CollectionSpec) string {
	switch {
	case spec.Programs[bpf.SocketflowProgSocketSent] != nil:
		return "tp_btf"
	case spec.Programs[bpf.SocketflowProgInetSent] != nil:
		return "fexit"
	case spec.Programs[bpf.SyscallsProgEnterClose] != nil:
		return "tracepoint"
	}
	return "none"
}

// The line is in print_verification_stats of the kernel's kernel/bpf/verifier.c.
var verificationStats = regexp.MustCompile(`(?m)^processed (\d+) insns `)

// verify loads one program by itself, so that a refused program does not hide the others, and returns how many
// instructions the verifier processed. Before Linux 5.16 only the log has that number.
func verify(mode *ebpf.CollectionSpec, name string) (int, error) {
	spec := mode.Copy()
	maps.DeleteFunc(spec.Programs, func(other string, _ *ebpf.ProgramSpec) bool { return other != name })
	objects, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats},
	})
	if err != nil {
		// Once more for the whole log, which is written if no level is set.
		again, whole := ebpf.NewCollection(spec)
		if whole == nil {
			again.Close()
		}
		return 0, errors.Join(whole, err)
	}
	defer objects.Close()
	log := objects.Programs[name].VerifierLog
	stats := verificationStats.FindStringSubmatch(log)
	if stats == nil {
		return 0, fmt.Errorf("the verifier's log has no number of instructions: %s", strings.TrimSpace(log))
	}
	return strconv.Atoi(stats[1])
}

// socketSpec is what OpenSockets loads, and the backups, whether this kernel needs them or not.
func socketSpec(t *testing.T, opts Options) *ebpf.CollectionSpec {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	must(t, err)
	spec, err := bpf.LoadSocketflow()
	must(t, err)
	c := &SocketTracer{}
	if c.seekLibraries(&opts); !opts.TLS {
		t.Error(c.degraded)
	}
	opts.uring = knowsUring(types)
	must(t, c.configure(spec, opts, true))
	keep(spec, c.features(opts, true), (&socketHooks{types: types}).absent, bpf.SocketflowProgAnyExit, bpf.SocketflowProgAnyPoll)
	return spec
}

// keep removes all programs but those of the first way of each feature whose hooks this kernel has, and a few others.
func keep(spec *ebpf.CollectionSpec, features []feature, absent func(*programDef) error, others ...string) {
	wanted := map[string]bool{bpf.SocketflowProgSelfPid: true}
	for _, name := range others {
		wanted[name] = true
	}
	for _, f := range features {
		for _, way := range f.ways {
			there := slices.DeleteFunc(slices.Clone(way), func(def programDef) bool { return absent(&def) != nil })
			if len(there) < len(way) && !slices.ContainsFunc(way, func(def programDef) bool { return def.elsewhere }) {
				continue
			}
			for _, def := range there {
				wanted[def.name] = true
			}
			break
		}
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !wanted[name] })
}

// syscallSpec is what OpenSyscalls loads, and the backups, whether this kernel needs them or not.
func syscallSpec(t *testing.T, opts Options) *ebpf.CollectionSpec {
	t.Helper()
	dir, err := openTracefs()
	must(t, err)
	defer unix.Close(dir) //nolint:errcheck // nothing was written
	spec, err := bpf.LoadSyscalls()
	must(t, err)
	c := &SyscallTracer{opts: opts}
	if c.seekLibraries(&c.opts); !c.opts.TLS {
		t.Logf("programs cannot be attached to libraries, before Linux 5.15: %v", c.degraded)
	}
	must(t, c.configure(spec, dir, true))
	keep(spec, c.features(true, spec), func(*programDef) error { return nil })
	return spec
}

// differentSignatures are as many as there can be.
func differentSignatures() (all []Signature) {
	for i := range byte(MaxSignatures) {
		all = append(all, Signature{Prefix: bytes.Repeat([]byte{1 + i}, SignatureBytes)})
	}
	return all
}
