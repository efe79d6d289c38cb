//go:build amd64 || arm64

package preflight

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/procfs"
)

const (
	btfFile      = "/sys/kernel/btf/vmlinux"
	lockdownFile = "lockdown"
	securityfs   = "/sys/kernel/security"
)

var tracefsPlaces = []string{"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"}

// host returns facts about this kernel and what of it can be read.
func host() []Fact {
	return []Fact{system(), btf(), lockdown(), tracefs(), userNamespace(), pidNamespace(), procMount(), visibility(), sockDiag()}
}

func system() Fact {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Fact{Name: factSystem, State: Unknown, Found: err.Error()}
	}
	return Fact{Name: factSystem, State: OK, Found: "Linux " + unix.ByteSliceToString(name.Release[:]) + " on " + runtime.GOARCH}
}

func btf() Fact {
	_, err := os.Stat(btfFile)
	if err != nil {
		return Fact{Name: factBTF, State: Missing, Found: err.Error(), Lost: "no socket mode"}
	}
	return Fact{Name: factBTF, State: OK, Found: btfFile}
}

// lockdown reads the lockdown level: the word in brackets of "none [integrity] confidentiality" (kernel_lockdown(7)).
func lockdown() Fact {
	fact := Fact{Name: factLockdown, State: OK}
	text, err := os.ReadFile(filepath.Join(securityfs, lockdownFile))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = readUnmounted("securityfs", lockdownFile)
	}
	_, level, found := strings.Cut(string(text), "[")
	level, _, closed := strings.Cut(level, "]")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fact.Found = "this kernel has none"
	case err != nil:
		fact.State, fact.Found = Unknown, fmt.Sprintf("mount securityfs at %s to find out: %v", securityfs, err)
	case !found || !closed:
		fact.State, fact.Found = Unknown, strings.TrimSpace(string(text))
	case level == "confidentiality":
		fact.State, fact.Found = Less, level
		fact.Lost = "the kernel does not let programs read its memory, which both modes do; the outcome of trying is below"
	default:
		fact.Found = level
	}
	return fact
}

// readUnmounted reads a file of a file system by way of a mount that no other process sees (fsopen(2); needs CAP_SYS_ADMIN).
func readUnmounted(fsType, name string) ([]byte, error) {
	context, err := unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", fsType, err)
	}
	defer unix.Close(context) //nolint:errcheck // of no use any more
	if err := unix.FsconfigCreate(context); err != nil {
		return nil, fmt.Errorf("create %s: %w", fsType, err)
	}
	root, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", fsType, err)
	}
	defer unix.Close(root) //nolint:errcheck // what is opened below it holds it
	fd, err := unix.Openat(root, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close() //nolint:errcheck // read only
	content := make([]byte, 4096)
	n, err := file.Read(content)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content[:n], nil
}

func tracefs() Fact {
	fact := Fact{Name: factTracefs, State: OK}
	var errs []error
	for _, place := range tracefsPlaces {
		_, err := os.Stat(filepath.Join(place, "syscalls"))
		if err == nil {
			fact.Found = place
			return fact
		}
		errs = append(errs, err)
	}
	if _, err := readUnmounted("tracefs", "README"); err == nil {
		fact.Found = "not mounted, which CAP_SYS_ADMIN makes up for"
		return fact
	}
	fact.State, fact.Found = Less, unreadable(errs)
	fact.Lost = "no syscall mode; in socket mode the exits of calls are traced at " + costOfAnyExit
	return fact
}

// unreadable says why no place of a file system can be read.
func unreadable(errs []error) string {
	var reasons []string
	for _, err := range errs {
		if !errors.Is(err, fs.ErrNotExist) {
			reasons = append(reasons, err.Error())
		}
	}
	if reasons == nil {
		return "not mounted"
	}
	return strings.Join(reasons, "; ")
}

func userNamespace() Fact {
	host, err := procfs.InInitialUserNamespace()
	return namespace(host, err, Fact{Name: factUsers, State: Missing, Lost: "nothing works, because capabilities are the namespace's only"})
}

func pidNamespace() Fact {
	host, err := procfs.InInitialPIDNamespace()
	return namespace(host, err, Fact{Name: factPIDs, State: Less,
		Lost: "what only /proc knows of processes is missing: names of containers, and in syscall mode connections that are older than the collector"})
}

// namespace is the fact that a namespace is the host's, or another one.
func namespace(host bool, err error, another Fact) Fact {
	switch {
	case err != nil:
		return Fact{Name: another.Name, State: Unknown, Found: err.Error()}
	case host:
		return Fact{Name: another.Name, State: OK, Found: "the host's"}
	default:
		another.Found = "not the host's"
		return another
	}
}

// procMount says whether /proc shows all processes (hidepid, proc(5)).
func procMount() Fact {
	fact := Fact{Name: factProcfs, State: OK}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		fact.State, fact.Found = Less, err.Error()
		fact.Lost = "nothing is known of processes but what the kernel programs report"
		return fact
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[4] != "/proc" {
			continue
		}
		_, hiding, hides := strings.Cut(fields[len(fields)-1], "hidepid=")
		hiding, _, _ = strings.Cut(hiding, ",")
		if hides && hiding != "0" && hiding != "off" {
			fact.State, fact.Found = Less, "mounted with hidepid="+hiding
			fact.Lost = "other users' processes are shown to those with CAP_SYS_PTRACE only"
			return fact
		}
	}
	fact.Found = "shows all processes"
	return fact
}

// sockDiag says how sockets are listed that calls do not show.
func sockDiag() Fact {
	if err := procfs.ListsSockets(); err != nil {
		return Fact{Name: factSockDiag, State: Replaced, Found: err.Error() + ": the tables below /proc/<pid>/net instead, in syscall mode"}
	}
	return Fact{Name: factSockDiag, State: OK, Found: "lists sockets, in syscall mode"}
}

// visibility counts the processes of other users whose link to their executable can be read.
func visibility() Fact {
	fact := Fact{Name: factVisibility, State: OK}
	names, err := filepath.Glob("/proc/[1-9]*")
	if err != nil {
		return Fact{Name: factVisibility, State: Unknown, Found: err.Error()}
	}
	self := os.Geteuid()
	var others, seen int
	for _, name := range names {
		var stat unix.Stat_t
		if unix.Stat(name, &stat) != nil || int(stat.Uid) == self || isKernelThread(name) {
			continue
		}
		switch _, err := os.Readlink(name + "/exe"); {
		case err == nil:
			seen++
			others++
		case !errors.Is(err, fs.ErrNotExist): // else it has ended
			others++
		}
	}
	fact.Found = fmt.Sprintf("%d of %d can be named", seen, others)
	if others == 0 {
		fact.Found = "there are none"
	}
	if seen < others {
		fact.State, fact.Lost = Less, "the others have no name but that of a thread"
	}
	return fact
}

// isKernelThread reports whether a process is a kernel thread: its flags, the seventh field after its name in parentheses
// (proc_pid_stat(5)), have PF_KTHREAD (linux/sched.h).
func isKernelThread(name string) bool {
	const flagKernelThread = 0x00200000
	text, err := os.ReadFile(name + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 32)
	return err == nil && flags&flagKernelThread != 0
}
