//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// tracepointsArePreemptible reports whether a task can be preempted within a program at a tracepoint. The kernel then skips that program
// for the tasks that run on the CPU meanwhile. Tasks can be preempted since SRCU guards tracepoints. An older SRCU of the same name was
// for rcuidle tracepoints only; when these were removed, struct tracepoint got the member ext.
func tracepointsArePreemptible(types *btf.Spec) bool {
	var guard *btf.Var
	if types.TypeByName("tracepoint_srcu_srcu_data", &guard) != nil {
		return false
	}
	var tracepoint *btf.Struct
	return types.TypeByName("tracepoint", &tracepoint) == nil &&
		slices.ContainsFunc(tracepoint.Members, func(m btf.Member) bool { return m.Name == "ext" })
}

// backupSuffix ends the name of a backup program. A backup does the work of its primary whenever the kernel skips that.
const backupSuffix = "_backup"

// addBackups puts a backup beside each of the programs: a copy that knows what it is (bpf/backup.h).
func addBackups(spec *ebpf.CollectionSpec, primaries ...string) {
	for _, primary := range primaries {
		backup := spec.Programs[primary].Copy()
		backup.Name += backupSuffix
		for i := range backup.Instructions {
			ins := &backup.Instructions[i]
			if ins.OpCode.IsDWordLoad() && ins.Src == 0 && ins.Constant == int64(bpf.SocketflowMarkerMARKER_BACKUP) {
				ins.Constant = 1
			}
		}
		spec.Programs[backup.Name] = backup
	}
}

// claimsEntries is how many threads may be within a transfer at a time without taking each other's slot (4 bytes each). A power of two.
const claimsEntries = 65536

// configureBufs gives each program at a transfer, and at the exit of a call that receives datagrams, buffers of its own on every CPU.
func configureBufs(spec *ebpf.CollectionSpec, opts Options, backup bool) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	bufs := uint32(cpus) * uint32(event.Directions)
	constants := map[string]any{}
	if backup {
		addBackups(spec, bpf.SocketflowProgSocketSent, bpf.SocketflowProgSocketReceived)
		spec.Maps[bpf.SocketflowMapClaims].MaxEntries = claimsEntries
		constants[bpf.SocketflowVarClaimsMask] = uint32(claimsEntries - 1)
		constants[bpf.SocketflowVarEventBufsBackup] = bufs
		bufs *= 2
	}
	if opts.UDP {
		constants[bpf.SocketflowVarEventBufsExit] = bufs
		users := uint32(1)
		if preemptsCalls() {
			users = uint32(bpf.SocketflowExitUserEXIT_USERS)
			constants[bpf.SocketflowVarEventBufsPerExit] = uint32(1)
		}
		bufs += uint32(cpus) * users
		spec.Maps[bpf.SocketflowMapDatagramBufs].MaxEntries = bufs
	}
	if opts.payload() {
		spec.Maps[bpf.SocketflowMapEventBufs].MaxEntries = bufs
	}
	return set(spec, constants)
}
