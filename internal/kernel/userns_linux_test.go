//go:build amd64 || arm64

package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// toOpen makes this test binary a program that opens the socket mode, and prints the error.
const toOpen = "SOCKETFLOW_KERNEL_TEST_OPEN"

func init() {
	if os.Getenv(toOpen) == "" {
		return
	}
	_, err := OpenSockets(Options{Shards: 1, RingBytes: 1 << 20, Processes: 1024, Sockets: 1024})
	fmt.Printf("privilege=%t %v\n", errors.Is(err, ErrPrivilege), err)
	os.Exit(0)
}

// TestAnotherUserNamespaceIsNamed: root of a rootless container has all capabilities, but not those of the host.
func TestAnotherUserNamespaceIsNamed(t *testing.T) {
	needPrivilege(t)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = []string{toOpen + "=true"}
	mapped := []syscall.SysProcIDMap{{Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: mapped, GidMappings: mapped}
	out, err := cmd.CombinedOutput()
	must(t, err)
	if got := string(out); !strings.HasPrefix(got, "privilege=true ") || !strings.Contains(got, "the host's user namespace") {
		t.Errorf("the error is %q", got)
	}
}
