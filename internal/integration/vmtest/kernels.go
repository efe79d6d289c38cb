package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// kernel is a kernel to be booted. .ci/kernels gets it.
type kernel struct {
	series    string
	arch      *architecture
	cpu       string
	emulation *emulation
	modes     []mode
	inCI      []mode   // what every run of CI tests of these; the rest is tested before a release
	modules   []string // see .ci/kernels, which gets the same
}

// name is the name in .ci/kernels.
func (k *kernel) name() string {
	if k.arch == amd64 {
		return k.series
	}
	return k.series + "-" + k.arch.name
}

// mode is a receiver mode that a kernel supports, and the tests that have to pass in it.
type mode struct {
	name  string
	tests []test
}

// test is the name of a test: TestA, or TestA/subtest.
type test struct {
	pkg  string // folder of the package
	name string
}

func (t test) top() string { return strings.SplitN(t.name, "/", 2)[0] }

// pattern is for -test.run.
func (t test) pattern() string {
	return "^" + strings.ReplaceAll(t.name, "/", "$/^") + "$"
}

func in(pkg string, names ...string) []test {
	var tests []test
	for _, name := range names {
		tests = append(tests, test{pkg, name})
	}
	return tests
}

// integration is the folder of this module, below the root of the main module.
const integration = "internal/integration"

const (
	kernelPackage   = "internal/kernel"
	receiverPackage = integration + "/receiver"
)

// These are the tests of each mode: truth of connections, failed attempts, older connections, namespaces, and the payload of
// connections. In the syscall mode the scenarios cover a refused attempt and an older accept.
var (
	sockets = slices.Concat(
		in(kernelPackage, "TestVerifierInstructions/socket", "TestDataOfEveryCall", "TestDataOfEveryRequestOfIOUring", "TestIOUringIsReadWhereItIsCertain",
			"TestIOUringRequestOlderThanThePrograms", "TestLivePassSaysWhatConnectionsHaveCarried", "TestLocalClose", "TestPlaintextOfLibrary",
			"TestUnwantedBodiesAreHoppedOver/socket",
			"TestBlockingSendIsDatedByItsBeginning/socket", "TestDatagrams", "TestUnixSockets",
			"TestDatagramDataOfEveryCall/socket_mode", "TestDatagramDataOfOddCalls/socket_mode",
			"TestTwoThreadsBeginOneFlow/socket_mode", "TestEndedFlowLeavesTheTable/socket_mode", "TestTwoThreadsOpenOneUnixSocket/socket"),
		in(receiverPackage, "TestEveryConnectionEndIsExact/socket", "TestEndings", "TestConnectionsOlderThanTheCollector",
			"TestIdenticalTuplesInTwoNamespaces", "TestShortLivedProcesses", "TestSyscallScenarios/socket",
			"TestNamespacesStayApart/socket/the_same_addresses", "TestEveryRequestIsTwoSpans/1,000_connections_at_once",
			"TestEveryRequestIsTwoSpans/bodies_beyond_what_is_captured", "TestRequestsWithinTLS", "TestKilledLeavesNothing/socket",
			"TestAutoModeEmitsEverything"),
	)
	syscalls = slices.Concat(
		in(kernelPackage, "TestVerifierInstructions/syscall", "TestControlProgramsHideNoCalls", "TestUnwantedBodiesAreHoppedOver/syscall",
			"TestBlockingSendIsDatedByItsBeginning/syscall",
			"TestDatagramDataOfEveryCall/syscall_mode", "TestDatagramDataOfOddCalls/syscall_mode",
			"TestTwoThreadsBeginOneFlow/syscall_mode", "TestTwoThreadsOpenOneUnixSocket/syscall", "TestSecondDescriptorOfAnOlderSocket",
			"TestPlaintextOfLibraryInSyscallMode/as_the_kernel_can"),
		in(receiverPackage, "TestEveryConnectionEndIsExact/syscall", "TestSyscallScenarios/syscall",
			"TestKilledLeavesNothing/syscall", "TestNamespacesStayApart/syscall/the_same_addresses",
			"TestEveryRequestIsTwoSpans/1,000_connections_at_once"),
	)
)

// These are fewer, for CI: whether the programs load, and whether what is emitted is true.
var (
	fewSockets = slices.Concat(in(kernelPackage, "TestVerifierInstructions/socket"),
		in(receiverPackage, "TestEveryConnectionEndIsExact/socket", "TestEveryRequestIsTwoSpans/1,000_connections_at_once", "TestRequestsWithinTLS"))
	fewSyscalls = slices.Concat(in(kernelPackage, "TestVerifierInstructions/syscall"),
		in(receiverPackage, "TestSyscallScenarios/syscall", "TestEveryRequestIsTwoSpans/1,000_connections_at_once"))
	// Where the kernel encrypts, too.
	encrypted = in(receiverPackage, "TestRequestsWithinTLS/OpenSSL/kTLS")
)

// The emulated CPU of amd64 is an old one: the kernel and Go then use no instructions that are slow to emulate (string
// instructions that move single bytes, vectors). The verifier needs a third less time on it than on QEMU's "max".
const (
	// QEMU 7.2 emulates the flags of cmpxchg16b wrongly: kernels that allocate with it crash now and then (seen on 6.12, in
	// __kmalloc_noprof).
	without16 = "Nehalem,cx16=off"
	// From 6.18 or so on, allocations that may not wait (kmalloc_nolock) need it, and with them socket storage.
	with16 = "Nehalem"
	// This is a CPU with atomic instructions, without which QEMU loops over a load and a store, and without pointer
	// authentication: with "max" the verifier needs about a third more time.
	neoverse = "neoverse-n1"
)

// emulation is how QEMU runs its CPUs.
type emulation struct {
	accelerator string
	options     []string
}

// The CPUs take turns. If each is a thread of this host, QEMU misses code that the kernel patches on another CPU: 5.10 was seen
// to hang at a jump, 6.1 not to enter programs behind functions, 7.2 to meet a breakpoint that was gone.
var (
	// The machine's clock is this host's.
	inHostTime = &emulation{accelerator: "tcg,thread=single"}
	// The machine's clock counts instructions, a nanosecond each: a tick holds what it holds on a machine of 1 GHz, however busy
	// this host is. Waiting takes no time. 5.10 and 6.1 do not boot like that.
	byInstructions = &emulation{accelerator: "tcg,thread=single", options: []string{"-icount", "shift=0,sleep=off"}}
)

// kernels are the supported ones. `make test` tests the kernel of the build machine. CI tests the oldest and the newest, and the
// least of one between them that has the socket mode.
var kernels = []kernel{
	{"5.10", amd64, without16, inHostTime, []mode{{"syscall", syscalls}}, []mode{{"syscall", syscalls}}, nil},
	{"6.1", amd64, without16, inHostTime, []mode{{"syscall", syscalls}, {"socket", sockets}}, nil, nil},
	{"6.12", amd64, without16, byInstructions, []mode{{"syscall", syscalls}, {"socket", slices.Concat(sockets, encrypted)}},
		[]mode{{"syscall", fewSyscalls}, {"socket", slices.Concat(fewSockets, encrypted)}}, []string{"crypto_null", "gf128mul", "ghash-generic", "gcm", "tls"}},
	{"7.2", amd64, with16, byInstructions, []mode{{"syscall", syscalls}, {"socket", sockets}},
		[]mode{{"syscall", syscalls}, {"socket", sockets}}, nil},
	{"6.12", arm64, neoverse, byInstructions, []mode{{"syscall", syscalls}, {"socket", sockets}}, nil, nil},
}

// kernelNames are those of all kernels, or of those that CI tests.
func kernelNames(all bool) []string {
	var names []string
	for i := range kernels {
		if all || len(kernels[i].inCI) > 0 {
			names = append(names, kernels[i].name())
		}
	}
	return names
}

// fetch returns the directories of kernels and tools, by name.
func fetch(ctx context.Context, names []string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, ".ci/kernels", names...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("get the kernels: .ci/kernels %s: %w", strings.Join(names, " "), err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(names) {
		return nil, fmt.Errorf("get the kernels: .ci/kernels printed %d directories for %d names", len(lines), len(names))
	}
	dirs := map[string]string{}
	for i, name := range names {
		dirs[name] = string(lines[i])
	}
	return dirs, nil
}
