// Package process says who owns a socket: it describes a process so that telemetry can name it.
//
// The kernel program copies a [Snapshot] of a process when it first uses a socket. A [Reader] completes that from
// /proc while the process still lives, and a [Table] keeps the result for as long as its connections do.
package process

import (
	"path"
	"strings"
)

// ID identifies a process for the life of the host: pids are reused, a pid with its start time is not.
type ID struct {
	// PID is the thread group id in the pid namespace of the procfs that the Reader reads.
	PID uint32
	// Start is in clock ticks (1/100 s) since boot, field 22 of /proc/<pid>/stat. The kernel prints
	// start_boottime divided by exactly 10 ms (fs/proc/array.c, nsec_to_clock_t with USER_HZ = 100), so a kernel
	// program that divides task->start_boottime by 10,000,000 gets the same number, as long as the collector is
	// not in a time namespace with an offset of its own.
	Start uint64
}

// Snapshot is what the kernel program copied of a process in the moment it first used a socket; it is what remains of
// a process that is gone a millisecond later. Of a process that is older than the kernel program only the ID is known.
// Reader keeps no reference to its byte slices.
type Snapshot struct {
	ID
	Comm       string // task comm, at most 15 bytes
	Executable string // absolute path as the kernel walked it, may be ""
	FromExecve bool   // Executable is the argument of execve: another path may name the same file
	Args       []byte // head of the argument block, NUL separated, possibly cut
	ArgsCut    bool
	Environ    []byte // head of the environment block, NUL separated, possibly cut
	EnvironCut bool
	Cgroup     string // cgroup path as the kernel walked it, "" if unknown
}

// Attribute is one pair of OTEL_RESOURCE_ATTRIBUTES, decoded.
type Attribute struct {
	Key   string // at most 256 bytes
	Value string // at most 1 KiB; a longer one is cut
}

// Sources of a service name, in the order in which they are tried.
const (
	SourceServiceName        = "OTEL_SERVICE_NAME"
	SourceResourceAttributes = "OTEL_RESOURCE_ATTRIBUTES"
	SourceContainer          = "container"
	SourceExecutable         = "executable"
	SourceComm               = "comm"
	SourceUnknown            = "unknown"
)

// UnknownService is the service name of a process of which nothing is known but its pid, as the semantic conventions
// of service.name ask for.
const UnknownService = "unknown_service"

// Info describes a process. It is immutable: a socket keeps the Info it was opened under, whatever the process
// becomes later. All strings are valid UTF-8 and bounded.
type Info struct {
	ID
	Comm string
	// Executable is a path; "" when unknown (kernel thread, gone).
	Executable string
	// CommandLine is the first 256 arguments at most, within 16 KiB.
	CommandLine []string
	// ServiceName is never empty; ServiceNameSource is one of the Source constants.
	ServiceName       string
	ServiceNameSource string
	// ResourceAttributes are the pairs of OTEL_RESOURCE_ATTRIBUTES other than service.name, in order, at most 64.
	ResourceAttributes []Attribute
	// ContainerID is what the runtime calls the container: 64 hex digits for most, "" outside a container and for
	// LXC, systemd-nspawn and their like, which have only a name.
	ContainerID   string
	ContainerName string
	PodUID        string // with dashes, "" outside Kubernetes
	// CgroupPath is the path that named the container, else the most telling one there is.
	CgroupPath string
}

// ExecutableName is the last element of the executable's path, "" if there is no path or none that names anything.
func (i *Info) ExecutableName() string {
	// An anonymous file (memfd_create(2), as runc runs itself from) has a name its maker chose, not a place in the
	// file system; the last element of "/memfd:runc_cloned:/proc/self/exe" says nothing.
	if i.Executable == "" || strings.HasPrefix(i.Executable, "/memfd:") {
		return ""
	}
	if base := path.Base(i.Executable); base != "/" && base != "." {
		return base
	}
	return ""
}

// Bounds of what is kept of one process. PATH_MAX and the length of a service name are the kernel's and the usual
// backend's; the others keep one hostile process from filling the collector.
const (
	maxPath           = 4096
	maxName           = 255
	maxComm           = 64 // 15 for a task; a kernel worker shows its work queue too
	maxArgs           = 256
	maxArgBytes       = 16 << 10
	maxEnvironBytes   = 128 << 10
	maxCgroupBytes    = 64 << 10
	maxAttributes     = 64
	maxAttributeKey   = 256
	maxAttributeValue = 1 << 10
)
