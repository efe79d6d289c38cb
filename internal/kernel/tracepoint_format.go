//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Tracepoints that show both ends of TCP sockets, by their names below the events directory of tracefs.
const (
	tcpStates   = "sock/inet_sock_set_state"
	tcpReceives = "tcp/tcp_rcv_space_adjust"
)

type member struct {
	name   string
	offset uint32
}

// layouts are what the programs of tracepoints take for granted, by hook: the members of their structs in bpf/tcp_ends.h.
var layouts = map[string][]member{
	tracepointHook + tcpStates: {
		{"skaddr", 8}, {"oldstate", 16}, {"newstate", 20}, {"sport", 24}, {"dport", 26}, {"family", 28}, {"protocol", 30},
		{"saddr_v6", 40}, {"daddr_v6", 56},
	},
	tracepointHook + tcpReceives: {{"skaddr", 8}, {"sport", 16}, {"dport", 18}},
}

// checkLayout returns an error that wraps errAbsent if the kernel does not have the tracepoint of a hook as its program knows it.
func checkLayout(tracefs int, hook string) error {
	for _, m := range layouts[hook] {
		offset, err := fieldOffset(tracefs, hook[len(tracepointHook):], m.name)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, errNoMember):
			return fmt.Errorf("%w: %w", errAbsent, err)
		case err != nil:
			return err
		case offset != m.offset:
			return fmt.Errorf("%w: %s has %s at %d, not at %d", errAbsent, hook, m.name, offset, m.offset)
		}
	}
	return nil
}

var errNoMember = errors.New("the tracepoint has no such member")

// fieldOffset finds where a tracepoint has a member, in its format file. An array is named without its brackets.
//
//	field:pid_t child_pid;	offset:44;	size:4;	signed:1;
//	field:__u8 saddr_v6[16];	offset:40;	size:16;	signed:0;
func fieldOffset(tracefs int, tracepoint, name string) (uint32, error) {
	format, err := readTracefs(tracefs, tracepoint+"/format")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(format) {
		declaration, rest, found := bytes.Cut(line, []byte(";"))
		declaration, _, _ = bytes.Cut(declaration, []byte("["))
		if !found || !bytes.HasSuffix(declaration, []byte(" "+name)) {
			continue
		}
		var offset uint32
		if _, err := fmt.Sscanf(string(bytes.TrimSpace(rest)), "offset:%d;", &offset); err != nil {
			return 0, fmt.Errorf("tracepoint %s: member %s: %w", tracepoint, name, err)
		}
		return offset, nil
	}
	return 0, fmt.Errorf("%w: %s of %s", errNoMember, name, tracepoint)
}
