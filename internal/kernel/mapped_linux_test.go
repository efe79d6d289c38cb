//go:build amd64 || arm64

package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestFilesOfCodeAreSeenWhenTheyAreMapped: those that a running program maps, and those of a program that begins.
func TestFilesOfCodeAreSeenWhenTheyAreMapped(t *testing.T) {
	tracer := openWith(t, Options{TLS: true})
	dir := t.TempDir()
	for i, test := range []struct {
		name              string
		protection, times int
		want              int
	}{
		{"code", unix.PROT_READ | unix.PROT_EXEC, 1, 1},
		{"data", unix.PROT_READ, 2, 0},
		{"code that ended before anybody looked: the 1st, 2nd, 4th and 8th time", unix.PROT_READ | unix.PROT_EXEC, 9, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, strconv.Itoa(i))
			must(t, os.WriteFile(path, make([]byte, os.Getpagesize()), 0o600))
			for range test.times {
				mapOnce(t, path, test.protection)
			}
			if got := mappedUntil(t, tracer, begin(t, path+"-program")); got != test.want {
				t.Errorf("%d events, want %d", got, test.want)
			}
		})
	}
}

func mapOnce(t *testing.T, path string, protection int) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	memory, err := unix.Mmap(int(file.Fd()), 0, os.Getpagesize(), protection, unix.MAP_PRIVATE)
	must(t, err)
	must(t, unix.Munmap(memory))
	must(t, file.Close())
}

// begin runs a program whose file is new, and returns its pid.
func begin(t *testing.T, path string) uint32 {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	code, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(path, code, 0o700))
	cmd := exec.Command(path, "-test.run", "^$")
	must(t, cmd.Run())
	return uint32(cmd.Process.Pid)
}

// mappedUntil counts the events of this process until one of another.
func mappedUntil(t *testing.T, tracer *SocketTracer, pid uint32) (count int) {
	t.Helper()
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		var e event.Event
		must(t, reader.Next(&e))
		switch {
		case e.Kind != event.KindExec:
		case e.Owner.PID == pid:
			return count
		case e.Owner.PID == uint32(os.Getpid()):
			count++
		}
	}
}
