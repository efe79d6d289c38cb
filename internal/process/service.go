package process

import (
	"path"
	"strings"
)

// nameService fills the service name from the first source that has one.
//
// An interpreter gets its own name, "python3", and not that of its script: a name from the command line would be a guess. A
// process that needs another name sets OTEL_SERVICE_NAME.
func (i *Info) nameService(environName, attributeName, argv0 string) {
	candidates := [...]struct{ name, source string }{
		{environName, SourceServiceName}, // the specification says that it takes precedence, and that empty is unset
		{attributeName, SourceResourceAttributes},
		{i.ContainerName, SourceContainer},
		{i.startedAs(argv0), SourceExecutable},
		{i.Comm, SourceComm},
		{UnknownService, SourceUnknown},
	}
	for _, c := range candidates {
		if n := label(c.name); n != "" {
			i.ServiceName, i.ServiceNameSource = n, c.source
			return
		}
	}
}

// commLength is how much of a name the kernel keeps in a task's comm (TASK_COMM_LEN, without the NUL).
const commLength = 15

// startedAs is the name of the executable, or of the link to it by which the program was started: one file may be many
// programs, as busybox is, and redis-server, redis-sentinel and redis-check-rdb are.
//
// Two witnesses have to agree on the link's name: the comm, which the kernel set to the name of what was executed, and the first
// argument. Of a script these differ, and a program that renames itself rarely changes both. Of two names that begin alike, as
// python3 and python3.11, the executable's stays. So it does of what executes itself by /proc/self/exe, as Chromium and container
// runtimes do.
func (i *Info) startedAs(argv0 string) string {
	executable := i.ExecutableName()
	first, _, _ := strings.Cut(argv0, " ") // a title goes on: "/usr/bin/redis-server 127.0.0.1:6379"
	link := path.Base(strings.TrimSuffix(first, ":"))
	if executable == "" || first == "" || strings.HasPrefix(executable, link) || strings.HasPrefix(first, "/proc/") || i.Comm != link[:min(len(link), commLength)] {
		return executable
	}
	return link
}
