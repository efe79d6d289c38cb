package preflight

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
)

var update = flag.Bool("update", false, "write the texts that are there now to testdata")

var errRefusedForTest = errors.New("operation not permitted")

// programs that all became the same.
func programs(state kernel.ProgramState, by, without string, hooks ...string) (all []kernel.ProgramStatus) {
	for _, hook := range hooks {
		_, name, _ := strings.Cut(hook, "/")
		all = append(all, kernel.ProgramStatus{
			Program: "on_" + name, Hook: hook, State: state, By: by, Without: without, Err: errRefusedForTest,
		})
	}
	return all
}

func attached(hooks ...string) []kernel.ProgramStatus {
	return programs(kernel.ProgramAttached, "", "", hooks...)
}

var (
	transfers = []string{"tp_btf/sock_send_length", "tp_btf/sock_recv_length"}
	exits     = []string{
		"tracepoint/syscalls/sys_exit_accept", "tracepoint/syscalls/sys_exit_accept4", "tracepoint/syscalls/sys_exit_connect",
		"tracepoint/syscalls/sys_exit_recvfrom", "tracepoint/syscalls/sys_exit_recvmsg",
		"tracepoint/syscalls/sys_exit_recvmmsg", "tracepoint/syscalls/sys_exit_sendmmsg",
	}
	lives = []string{"tp_btf/sched_process_exec", "tp_btf/cgroup_attach_task", "tp_btf/sched_process_exit",
		"tp_btf/inet_sock_set_state", "tp_btf/inet_sock_set_state"}
	functions = []string{"fexit/inet_sendmsg", "fexit/inet6_sendmsg", "fexit/unix_stream_sendmsg", "fexit/inet_recvmsg",
		"fexit/inet6_recvmsg", "fexit/unix_stream_recvmsg"}
	flowPass = kernel.ProgramStatus{Program: "flow_pass", Hook: "run"}
)

const lostTransfers = "requests, Unix sockets and UDP are not seen"

// found are reports as hosts give them, by the files in testdata that have their texts.
var found = map[string]*Report{
	"everything.txt": {
		Asked: kernel.ModeAuto, Chosen: kernel.ModeSocket, Starts: true,
		Host: []Fact{
			{Name: factSystem, State: OK, Found: "Linux 6.18 on amd64"},
			{Name: factBTF, State: OK, Found: "/sys/kernel/btf/vmlinux"},
		},
		Privileges: []Fact{{Name: factUser, State: OK, Found: "uid 0"}, {Name: "CAP_BPF", State: OK}},
		Attempts: []Attempt{{
			Mode: kernel.ModeSocket, Works: true,
			Hooks: append([]Fact{{Name: factRingBuffer, State: OK}}, describe(slices.Concat(
				attached(lives...), attached(exits...), attached(transfers...), attached("iter/task_file", "iter/tcp"),
				[]kernel.ProgramStatus{flowPass}))...),
		}},
		Processes: []TLSUse{
			{TLSLibrary{Executable: "/usr/bin/etcd", Library: "Go crypto/tls", Version: "go1.19.8", Covered: true}, []uint32{12}},
			{TLSLibrary{
				Executable: "/usr/sbin/nginx", Library: "OpenSSL", Version: "3.0.19", File: "/usr/lib/x86_64-linux-gnu/libssl.so.3", Covered: true,
			}, []uint32{20, 21}},
			{TLSLibrary{Executable: "/usr/bin/java", Library: "JSSE", File: "/usr/lib/jvm/java-17/lib/server/libjvm.so", Why: "its code has no file"}, []uint32{30}},
		},
	},
	"less.txt": {
		Asked: kernel.ModeAuto, Chosen: kernel.ModeSocket, Starts: true,
		Host: []Fact{{Name: factTracefs, State: Less, Found: "not mounted", Lost: "no syscall mode"}},
		Attempts: []Attempt{
			{
				Mode: kernel.ModeSocket, Works: true,
				Hooks: describe(slices.Concat(attached(lives...), attached("tp_btf/sys_exit"),
					programs(kernel.ProgramAbsent, "", lostTransfers, transfers...),
					programs(kernel.ProgramReplaced, "tp_btf/sys_exit", "", exits...),
					programs(kernel.ProgramRefused, "", "connections that are older than the collector are not found", "iter/task_file"))),
				Degraded: []string{"requests, Unix sockets and UDP are not seen: the kernel does not have it"},
			},
			{Mode: kernel.ModeSyscall, Error: "tracefs cannot be read; mount it", Hooks: []Fact{{Name: factRingBuffer, State: Untried}}},
		},
		Advice: []string{"mount tracefs"},
	},
	"behind.txt": {
		Asked: kernel.ModeSocket, Chosen: kernel.ModeSocket, Starts: true,
		Attempts: []Attempt{{
			Mode: kernel.ModeSocket, Works: true, Whole: true,
			Hooks: describe(slices.Concat(attached(functions...), attached("tp_btf/sys_exit"), attached(lives...),
				programs(kernel.ProgramReplaced, "fexit/inet_sendmsg", "", transfers...))),
		}},
	},
	"nothing.txt": {
		Asked:      kernel.ModeSocket,
		Processes:  []TLSUse{},
		Privileges: []Fact{{Name: "CAP_BPF", State: Missing, Lost: "nothing works"}},
		Attempts: []Attempt{{Mode: kernel.ModeSocket, Error: "run it as root, or give it CAP_BPF",
			Hooks: describe(programs(kernel.ProgramUntried, "", "", lives...))}},
		Advice: []string{"give the collector CAP_BPF"},
	},
}

func TestText(t *testing.T) {
	for name, report := range found {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			require.NoError(t, report.WriteText(&text))
			file := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), text.String())
			for line := range strings.Lines(text.String()) {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), width+1, line)
			}
		})
	}
}

// full is a file on a disk that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestTextCannotBeWritten(t *testing.T) {
	assert.ErrorContains(t, found["everything.txt"].WriteText(full{}), "no space left")
}

func TestChoose(t *testing.T) {
	unsupported := fmt.Errorf("%w: no", kernel.ErrUnsupported)
	const socket, syscall, auto = kernel.ModeSocket, kernel.ModeSyscall, kernel.ModeAuto
	works := func(mode kernel.Mode) Attempt { return Attempt{Mode: mode} }
	fails := func(mode kernel.Mode) Attempt { return Attempt{Mode: mode, err: unsupported, wholeErr: unsupported} }
	part := Attempt{Mode: socket, wholeErr: unsupported} // of the socket mode: connections only
	forbidden := fmt.Errorf("%w: %w", unsupported, kernel.ErrPrivilege)
	unprivileged := Attempt{Mode: socket, err: forbidden, wholeErr: forbidden}
	for _, test := range []struct {
		asked    kernel.Mode
		attempts []Attempt
		chosen   kernel.Mode
	}{
		{auto, []Attempt{works(socket), works(syscall)}, socket},
		{auto, []Attempt{fails(socket), works(syscall)}, syscall},
		{auto, []Attempt{fails(socket), fails(syscall)}, ""},
		{auto, []Attempt{part, works(syscall)}, syscall},
		{auto, []Attempt{part, fails(syscall)}, socket},
		{auto, []Attempt{unprivileged, works(syscall)}, ""},
		{socket, []Attempt{part}, socket},
		{auto, nil, ""}, // a system that is not Linux
		{socket, []Attempt{fails(socket)}, ""},
		{socket, []Attempt{works(socket)}, socket},
		{syscall, []Attempt{works(syscall)}, syscall},
	} {
		r := Report{Asked: test.asked, Attempts: test.attempts}
		r.choose()
		assert.Equal(t, test.chosen, r.Chosen, "%+v", test)
		assert.Equal(t, test.chosen != "", r.Starts, "%+v", test)
	}
}

func TestAdvice(t *testing.T) {
	r := Report{
		Asked: kernel.ModeSyscall,
		Host: []Fact{{Name: factPIDs, State: Less}, {Name: factTracefs, State: Missing}, {Name: factBTF, State: OK},
			{Name: factUsers, State: Missing}},
		Privileges: []Fact{{Name: factSeccomp, State: OK, Found: "a filter"}},
	}
	r.advise(nil)
	require.Len(t, r.Advice, 5)
	for i, part := range []string{"rootless", "tracefs", "hostPID", "seccomp", "mode: auto"} {
		assert.Contains(t, r.Advice[i], part)
	}
	r.Advice = nil
	r.advise([]string{"CAP_BPF"})
	assert.Contains(t, r.Advice[0], "CAP_BPF")
}
