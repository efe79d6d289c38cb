//go:build amd64 || arm64

package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// toExecute makes this test binary a program that executes the shell in another way, with this as its command.
const toExecute = "SOCKETFLOW_KERNEL_TEST_EXECUTE"

const shellFile = "SOCKETFLOW_KERNEL_TEST_FILE" // a file with the path of the shell; empty: execveat

func TestMain(m *testing.M) {
	if command := os.Getenv(toExecute); command != "" {
		fmt.Fprintln(os.Stderr, execute(command, os.Getenv(shellFile)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// execute replaces this program by the shell.
func execute(command, file string) error {
	argv, err := syscall.SlicePtrFromStrings([]string{"bash", "-c", command})
	if err != nil {
		return err
	}
	environ := []*byte{nil}
	if file == "" {
		fd, err := unix.Open(shell, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		empty := []byte{0}
		_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])), uintptr(unsafe.Pointer(&argv[0])),
			uintptr(unsafe.Pointer(&environ[0])), unix.AT_EMPTY_PATH, 0)
		return errno
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	path, err := unix.Mmap(int(f.Fd()), 0, len(shell), unix.PROT_READ, unix.MAP_PRIVATE) // nothing has read it: it is not resident
	if err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(unsafe.SliceData(path))), uintptr(unsafe.Pointer(&argv[0])),
		uintptr(unsafe.Pointer(&environ[0])))
	return errno
}

const shell = "/bin/bash"

// TestImageIsThatOfTheRunningProgram: what cannot be known of a program is not what was known of the one before it.
func TestImageIsThatOfTheRunningProgram(t *testing.T) {
	needPrivilege(t)
	tracer, err := OpenSyscalls(Options{Shards: 1, RingBytes: 4 << 20, Processes: 1024, Sockets: 1024}, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(l, 8)))
	address := name(t, unix.Getsockname, l)
	connect := fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", address.Addr(), address.Port())
	file := filepath.Join(t.TempDir(), "path")
	must(t, os.WriteFile(file, []byte(shell+"\x00"), 0o600))
	self, err := os.Executable()
	must(t, err)

	for what, from := range map[string]string{"execveat": "", "a path that is not resident": file} {
		cmd := exec.Command(self)
		cmd.Env = []string{toExecute + "=" + connect, shellFile + "=" + from}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", what, err, out)
		}
		if got := imageOf(t, tracer, uint32(cmd.Process.Pid), "bash"); got != "" && got != shell {
			t.Errorf("%s: the image of the shell is %q", what, got)
		}
	}
	must(t, unix.Close(l))
}

// imageOf reads events up to the description of a process by the name of its program, and returns its executable.
func imageOf(t *testing.T, tracer framesTracer, pid uint32, comm string) string {
	t.Helper()
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		var e event.Event
		must(t, reader.Next(&e))
		if e.Kind == event.KindProcess && e.Owner.PID == pid && e.Process.Comm == comm {
			return e.Process.Executable
		}
	}
}
