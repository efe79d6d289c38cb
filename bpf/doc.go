// Package bpf holds the kernel programs: their C source, and the objects and Go types that bpf2go makes of them.
package bpf

// The type list names what user space reads; everything else stays private to C.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -target amd64,arm64 -cc clang-19 -strip llvm-strip-19 -type event_kind -type counter -type role -type transport -type role_source -type open_event -type close_event -type process_event -type exit_event -type live_event -type iteration -type data_event -type unix_open_event -type policy -type draft -type direction -type missing -type marker -type address_source -type descriptor_event -type rule -type verdict -type flow -type event_header Socketflow socketflow.bpf.c -- -O2 -Wall -Werror -mcpu=v3
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -target amd64,arm64 -cc clang-19 -strip llvm-strip-19 -type descriptor_kind -type stage -type known -type descriptor_key -type descriptor -type call -type call_socket -type connection -type process -type image -type datagram_key -type datagram_flow -type datagram_state -type mailbox -type flow Syscalls syscalls.bpf.c -- -O2 -Wall -Werror -mcpu=v3
