package preflight

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the texts that are there now to testdata")

// found are reports as hosts give them, by the files in testdata that have their texts.
var found = map[string]*Report{
	"everything.txt": {
		Asked: Auto, Chosen: Socket, Starts: true,
		Host: []Fact{
			{Name: factSystem, State: OK, Found: "Linux 6.18 on amd64"},
			{Name: factBTF, State: OK, Found: "/sys/kernel/btf/vmlinux"},
		},
		Privileges: []Fact{{Name: factUser, State: OK, Found: "uid 0"}, {Name: "CAP_BPF", State: OK}},
		Attempts: []Attempt{{
			Mode: Socket, Works: true,
			Hooks: append([]Fact{{Name: factRingBuffer, State: OK}}, describe(socketHooks, []string{
				"tp_btf/inet_sock_set_state", "tp_btf/inet_sock_set_state", "tp_btf/sock_send_length", "tp_btf/sock_recv_length",
				"tp_btf/sched_process_exec", "tp_btf/sched_process_exit", "tp_btf/cgroup_attach_task",
				"tracepoint/syscalls/sys_exit_accept", "tracepoint/syscalls/sys_exit_accept4", "tracepoint/syscalls/sys_exit_connect",
				"tracepoint/syscalls/sys_exit_recvfrom", "tracepoint/syscalls/sys_exit_recvmsg",
				"tracepoint/syscalls/sys_exit_recvmmsg", "tracepoint/syscalls/sys_exit_sendmmsg",
			}, true, everything)...),
		}},
	},
	"less.txt": {
		Asked: Auto, Chosen: Socket, Starts: true,
		Host: []Fact{{Name: factTracefs, State: Less, Found: "not mounted", Lost: "no syscall mode"}},
		Attempts: []Attempt{
			{
				Mode: Socket, Works: true,
				Hooks: describe(socketHooks, []string{"tp_btf/inet_sock_set_state", "tp_btf/sched_process_exec",
					"tp_btf/sched_process_exit", "tp_btf/cgroup_attach_task", "tp_btf/sys_exit"}, true, withoutTransfers),
				Degraded: []string{"the kernel has no tracepoint sock_send_length: requests are not seen"},
			},
			{Mode: Syscall, Error: "tracefs cannot be read; mount it", Hooks: []Fact{{Name: factRingBuffer, State: Untried}}},
		},
		Advice: []string{"mount tracefs"},
	},
	"behind.txt": {
		Asked: Socket, Chosen: Socket, Starts: true,
		Attempts: []Attempt{{
			Mode: Socket, Works: true, Whole: true,
			Hooks: describe(socketHooks, []string{
				"fexit/inet_sendmsg", "fexit/inet6_sendmsg", "fexit/unix_stream_sendmsg", "fexit/inet_recvmsg",
				"fexit/inet6_recvmsg", "fexit/unix_stream_recvmsg", "tp_btf/sys_exit", "tp_btf/sched_process_exec",
				"tp_btf/cgroup_attach_task", "tp_btf/sched_process_exit", "tp_btf/inet_sock_set_state",
			}, true, withoutTransfers),
		}},
	},
	"nothing.txt": {
		Asked:      Socket,
		Privileges: []Fact{{Name: "CAP_BPF", State: Missing, Lost: "nothing works"}},
		Attempts: []Attempt{{Mode: Socket, Error: "run it as root, or give it CAP_BPF",
			Hooks: describe(socketHooks, nil, false, withoutTransfers)}},
		Advice: []string{"give the collector CAP_BPF"},
	},
}

func everything(string) (there, known bool) { return true, true }

// withoutTransfers is a kernel before Linux 6.3.
func withoutTransfers(hook string) (there, known bool) {
	return btfName(hook) != "" && !strings.HasSuffix(hook, "_length"), btfName(hook) != ""
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
	works := func(mode Mode) Attempt { return Attempt{Mode: mode, Works: true, Whole: true} }
	fails := func(mode Mode) Attempt { return Attempt{Mode: mode} }
	part := Attempt{Mode: Socket, Works: true} // of the socket mode: connections only
	forbidden := Attempt{Mode: Socket, final: true}
	for _, test := range []struct {
		asked    Mode
		attempts []Attempt
		chosen   Mode
	}{
		{Auto, []Attempt{works(Socket), works(Syscall)}, Socket},
		{Auto, []Attempt{fails(Socket), works(Syscall)}, Syscall},
		{Auto, []Attempt{fails(Socket), fails(Syscall)}, ""},
		{Auto, []Attempt{part, works(Syscall)}, Syscall},
		{Auto, []Attempt{part, fails(Syscall)}, Socket},
		{Auto, []Attempt{forbidden, works(Syscall)}, ""},
		{Socket, []Attempt{part}, Socket},
		{Auto, nil, ""}, // a system that is not Linux
		{Socket, []Attempt{fails(Socket)}, ""},
		{Socket, []Attempt{works(Socket)}, Socket},
		{Syscall, []Attempt{works(Syscall)}, Syscall},
	} {
		r := Report{Asked: test.asked, Attempts: test.attempts}
		r.choose()
		assert.Equal(t, test.chosen, r.Chosen, "%+v", test)
		assert.Equal(t, test.chosen != "", r.Starts, "%+v", test)
	}
}

func TestParseMode(t *testing.T) {
	for _, mode := range []Mode{Auto, Socket, Syscall} {
		parsed, err := ParseMode(string(mode))
		require.NoError(t, err)
		assert.Equal(t, mode, parsed)
	}
	_, err := ParseMode("kprobes")
	assert.EqualError(t, err, `mode: write "auto", "socket" or "syscall", not "kprobes"`)
}

func TestAdvice(t *testing.T) {
	r := Report{
		Asked:      Syscall,
		Host:       []Fact{{Name: factPIDs, State: Less}, {Name: factTracefs, State: Missing}, {Name: factBTF, State: OK}},
		Privileges: []Fact{{Name: factSeccomp, State: OK, Found: "a filter"}},
	}
	r.advise(nil)
	require.Len(t, r.Advice, 4)
	for i, part := range []string{"tracefs", "hostPID", "seccomp", "mode: auto"} {
		assert.Contains(t, r.Advice[i], part)
	}
	r.Advice = nil
	r.advise([]string{"CAP_BPF"})
	assert.Contains(t, r.Advice[0], "CAP_BPF")
}
