//go:build linux && (amd64 || arm64)

package kernel

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/socketflow/socketflow/bpf"
)

// tracepointsArePreemptible says whether a task can be preempted within a program at a tracepoint, which has the kernel skip that
// program for the tasks that run on the CPU meanwhile. That is so since tracepoints are guarded by SRCU; until rcuidle tracepoints
// were removed (and struct tracepoint got the member ext) there was an SRCU of the same name for these.
func tracepointsArePreemptible(types *btf.Spec) bool {
	var guard *btf.Var
	if types.TypeByName("tracepoint_srcu_srcu_data", &guard) != nil {
		return false
	}
	var tracepoint *btf.Struct
	return types.TypeByName("tracepoint", &tracepoint) == nil &&
		slices.ContainsFunc(tracepoint.Members, func(m btf.Member) bool { return m.Name == "ext" })
}

// seenEntries is how many threads may be within a transfer at a time without taking each other's slot (4 bytes each). A power of two.
const seenEntries = 65536

// configureAgain gives the programs that look again what they need of their own.
func configureAgain(spec *ebpf.CollectionSpec) error {
	drafts, seen := spec.Maps[bpf.SocketflowMapDrafts], spec.Maps[bpf.SocketflowMapSeen]
	seen.MaxEntries = seenEntries
	first := drafts.MaxEntries
	drafts.MaxEntries *= 2
	return set(spec, map[string]any{
		bpf.SocketflowVarDraftsAgain: first,
		bpf.SocketflowVarSeenMask:    uint32(seenEntries - 1),
	})
}
