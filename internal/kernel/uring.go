//go:build linux && (amd64 || arm64)

package kernel

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/socketflow/socketflow/bpf"
)

const (
	// uringThreads is how many threads may submit requests to io_uring without taking each other's slot (72 bytes each). A power of two.
	uringThreads = 1024
	// uringWaits is how many sockets are remembered that requests wait for (144 bytes each, and overhead).
	uringWaits = 4096
)

// knowsUring reports whether the programs know where the requests of io_uring are that are under way. From Linux 6.10 on each of them has an
// iterator. The one about files was further inside before.
func knowsUring(types *btf.Spec) bool {
	var request *btf.Struct
	return types.TypeByName("io_async_rw", &request) == nil && hasMember(request.Members, "iter")
}

// hasMember looks into members without a name, too.
func hasMember(members []btf.Member, name string) bool {
	for _, m := range members {
		if m.Name == name {
			return true
		}
		var inner []btf.Member
		switch t := m.Type.(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if m.Name == "" && hasMember(inner, name) {
			return true
		}
	}
	return false
}

func configureUring(spec *ebpf.CollectionSpec) error {
	spec.Maps[bpf.SocketflowMapUringThreads].MaxEntries = uringThreads
	spec.Maps[bpf.SocketflowMapUringWaits].MaxEntries = uringWaits
	return set(spec, map[string]any{
		bpf.SocketflowVarFollowUring:      uint32(1),
		bpf.SocketflowVarUringThreadsMask: uint32(uringThreads - 1),
	})
}

// uringRequests see what is submitted to io_uring, and what of it has to wait.
func uringRequests() feature {
	return feature{without: withoutUring, ways: [][]programDef{{
		{name: bpf.SocketflowProgUringSubmit, hook: "tp_btf/io_uring_submit_req"},
		{name: bpf.SocketflowProgUringWait, hook: "tp_btf/io_uring_poll_arm"},
		{name: bpf.SocketflowProgUringReady, hook: "tp_btf/io_uring_task_add"},
	}}}
}
