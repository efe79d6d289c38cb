//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/testenv"
)

// confinement is what a service manager or a container runtime puts around a program: a user, capabilities, no way to gain
// others, a filter of system calls.
type confinement struct {
	UID          int
	Capabilities []string
	Filter       []unix.SockFilter
	Tracefs      bool   // a mount of it that only the program sees
	Program      string // takes the place of this program
}

// confinementKey is the environment variable that makes this test binary confine itself and become another program.
const confinementKey = "SOCKETFLOW_E2E_CONFINEMENT"

// Before main, this goroutine runs on the first thread and stays there: settings of the thread are those of the program.
func init() {
	text := os.Getenv(confinementKey)
	if text == "" {
		return
	}
	runtime.LockOSThread()
	var c confinement
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = c.become()
	}
	fmt.Fprintln(os.Stderr, "confine:", err)
	os.Exit(127)
}

// become does not return unless it fails.
func (c *confinement) become() error {
	if c.Tracefs {
		if err := mountTracefs(); err != nil {
			return err
		}
	}
	var sets [2]unix.CapUserData
	for _, name := range c.Capabilities {
		number := capabilityNumbers[name]
		sets[number/32].Effective |= 1 << (number % 32)
	}
	for i := range sets {
		sets[i].Permitted, sets[i].Inheritable = sets[i].Effective, sets[i].Effective
	}
	has := func(number uintptr) bool { return sets[number/32].Effective>>(number%32)&1 == 1 }
	for number := uintptr(0); number <= unix.CAP_LAST_CAP; number++ {
		if !has(number) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil {
				return fmt.Errorf("bound capabilities: %w", err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	// The calls of package syscall would change all threads. These have the capabilities of root until they become the program.
	id := uintptr(c.UID)
	for _, call := range [][4]uintptr{{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, id, id, id}, {unix.SYS_SETRESUID, id, id, id}} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return fmt.Errorf("become user %d: %w", c.UID, errno)
		}
	}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0]); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	for _, name := range c.Capabilities {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, capabilityNumbers[name], 0, 0); err != nil {
			return fmt.Errorf("raise %s: %w", name, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, confinementKey) })
	if len(c.Filter) > 0 {
		program := unix.SockFprog{Len: uint16(len(c.Filter)), Filter: &c.Filter[0]}
		if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
			return fmt.Errorf("filter system calls: %w", err)
		}
	}
	return fmt.Errorf("execute %s: %w", c.Program, syscall.Exec(c.Program, append([]string{c.Program}, os.Args[1:]...), environment))
}

func mountTracefs() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil {
		return fmt.Errorf("mount tracefs: %w", err)
	}
	return nil
}

var capabilityNumbers = map[string]uintptr{
	"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE,
	"CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH,
}

// variable is the environment variable that makes this test binary become the program.
func (c confinement) variable(t testing.TB, program string) string {
	t.Helper()
	for _, name := range c.Capabilities {
		require.Contains(t, capabilityNumbers, name)
	}
	c.Program = program
	text, err := json.Marshal(c)
	require.NoError(t, err)
	return confinementKey + "=" + string(text)
}

// without returns the confinement without a capability.
func (c confinement) without(capability string) confinement {
	c.Capabilities = slices.DeleteFunc(slices.Clone(c.Capabilities), func(name string) bool { return name == capability })
	return c
}

// syscallNumbers are this architecture's, by name, from the kernel's headers.
func syscallNumbers(t testing.TB) map[string]uint32 {
	t.Helper()
	cmd := exec.Command(testenv.NeedProgram(t, "gcc", "gcc"), "-E", "-dM", "-x", "c", "-include", "asm/unistd.h", os.DevNull)
	text, err := cmd.Output()
	require.NoError(t, err)
	numbers := map[string]uint32{}
	for _, match := range regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`).FindAllStringSubmatch(string(text), -1) {
		number, err := strconv.ParseUint(match[2], 10, 32)
		require.NoError(t, err)
		numbers[match[1]] = uint32(number)
	}
	require.Greater(t, len(numbers), 200)
	return numbers
}

// filter allows the named calls, and refuses the others with EPERM (seccomp(2)).
func filter(t testing.TB, allowed []string) []unix.SockFilter {
	t.Helper()
	const (
		load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		result   = unix.BPF_RET | unix.BPF_K
		numberAt = 0 // in struct seccomp_data
		archAt   = 4
		allow    = unix.SECCOMP_RET_ALLOW
		refuse   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		kill     = unix.SECCOMP_RET_KILL_PROCESS
	)
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	code := []unix.SockFilter{
		{Code: load, K: archAt}, {Code: equal, K: arch, Jt: 1}, {Code: result, K: kill},
		{Code: load, K: numberAt},
	}
	numbers := syscallNumbers(t)
	for _, name := range allowed {
		if number, found := numbers[name]; found { // the others are of other architectures
			code = append(code, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: result, K: allow})
		}
	}
	return append(code, unix.SockFilter{Code: result, K: refuse})
}
