package otlp

import (
	"testing"

	"github.com/socketflow/socketflow/internal/process"
)

func TestSentenceNamesTheService(t *testing.T) {
	id := process.ID{PID: 7, Start: 1}
	for _, tc := range []struct {
		name    string
		process process.Info
		want    string
	}{
		{
			name: "declared by the process", want: "shop (pid 7)",
			process: process.Info{ID: id, Executable: "/usr/bin/java", ServiceName: "shop", ServiceNameSource: process.SourceServiceName},
		},
		{
			name: "container", want: "cache (pid 7)",
			process: process.Info{ID: id, Executable: "/usr/bin/redis-check-rdb", ServiceName: "cache", ServiceNameSource: process.SourceContainer},
		},
		{
			name: "started by a link to the executable", want: "redis-server (pid 7)",
			process: process.Info{
				ID: id, Executable: "/usr/bin/redis-check-rdb", ServiceName: "redis-server", ServiceNameSource: process.SourceExecutable,
			},
		},
		{
			name: "task", want: "short (pid 7)",
			process: process.Info{ID: id, Comm: "short", ServiceName: "short", ServiceNameSource: process.SourceComm},
		},
		{
			name: "only the pid is known", want: "process (pid 7)",
			process: process.Info{ID: id, ServiceName: process.UnknownService, ServiceNameSource: process.SourceUnknown},
		},
		{name: "no process is known", process: *unknownOwner(), want: "unknown process"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := subject(&tc.process); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
