//go:build amd64 || arm64

package kernel

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/socketflow/socketflow/bpf"
)

// TestBackupDiffersFromItsPrimary: a backup that took itself for a primary would emit everything twice.
func TestBackupDiffersFromItsPrimary(t *testing.T) {
	socket, err := bpf.LoadSocketflow()
	must(t, err)
	addBackups(socket, bpf.SocketflowProgSockState, bpf.SocketflowProgSocketSent, bpf.SocketflowProgSocketReceived)
	syscalls, err := bpf.LoadSyscalls()
	must(t, err)
	addBackupsOfCalls(syscalls)
	// The work of these may be done twice.
	repeatable := []string{bpf.SyscallsProgEnterClone, bpf.SyscallsProgEnterClone3, bpf.SyscallsProgEnterClose}
	for _, spec := range []*ebpf.CollectionSpec{socket, syscalls} {
		for name, primary := range spec.Programs {
			backup := spec.Programs[name+backupSuffix]
			if backup == nil || slices.Contains(repeatable, name) {
				continue
			}
			same := slices.EqualFunc(primary.Instructions, backup.Instructions, func(a, b asm.Instruction) bool {
				return a.Constant == b.Constant
			})
			if same {
				t.Errorf("the backup of %s is the same program", name)
			}
		}
	}
}
