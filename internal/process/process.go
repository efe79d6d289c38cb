// Package process describes the processes that own sockets.
//
// The BPF program copies a [Snapshot] of a process when the process first uses a socket. A [Reader] completes it from /proc
// while the process lives, and a [Table] keeps the result as long as connections need it.
package process

import (
	"path"
	"strings"
	"time"
)

// ID identifies a process until the host reboots: a pid is reused, a pid together with a start time is not.
type ID struct {
	// PID is the thread group id in the pid namespace of the procfs that the Reader reads.
	PID uint32
	// Start is in clock ticks (1/100 s) since boot, field 22 of /proc/<pid>/stat. The kernel prints
	// start_boottime divided by exactly 10 ms (fs/proc/array.c, nsec_to_clock_t with USER_HZ = 100). So the BPF program,
	// which divides task->start_boottime by 10,000,000, gets the same number, unless the collector is in a time
	// namespace with an offset.
	Start uint64
}

// Snapshot is what the BPF program copied of a process when it first used a socket. It is all that there is of a process that
// ends a millisecond later. Of a process that is older than the BPF program only the ID is known. Reader keeps no reference
// to the byte slices.
type Snapshot struct {
	ID
	Comm       string // task comm, at most 15 bytes
	Executable string // absolute path, as the BPF program found it; may be ""
	// ExecutableCut: the path is longer, and its beginning is missing; or all of it.
	ExecutableCut bool
	FromExecve    bool // Executable is the argument of execve: another path may name the same file
	UID           UID
	Args          []byte // beginning of the argument block, NUL separated
	ArgsCut       bool
	Environ       []byte // beginning of the environment block, NUL separated
	EnvironCut    bool
	Cgroup        string // cgroup path, as the BPF program found it; "" if unknown
	CgroupCut     bool   // its beginning is missing
}

// UID is a user's id in the user namespace of the collector; the zero UID is not known.
type UID struct {
	number uint32
	known  bool
}

// UserID returns a known UID.
func UserID(number uint32) UID { return UID{number, true} }

// Attribute is one pair of OTEL_RESOURCE_ATTRIBUTES, decoded.
type Attribute struct {
	Key   string // at most 256 bytes
	Value string // at most 1 KiB
	Cut   bool   // the value is longer
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

// UnknownService is the service name of a process of which only the pid is known, as the semantic conventions define for
// service.name.
const UnknownService = "unknown_service"

// Info describes a process. It is immutable: a socket keeps the Info of when it was opened, even if the process executes
// another program later. All strings are valid UTF-8 and bounded.
type Info struct {
	ID
	Comm string
	// Executable is a path; "" if unknown, as for a kernel thread or a process that has ended.
	Executable string
	// ExecutableCut: Executable is the end of a longer path, from a slash on, or "".
	ExecutableCut bool
	// CreatedAt is the zero Time if it is not known.
	CreatedAt time.Time
	// Owner is the name of the user, or else the number; "" if unknown. Names in a container are not known.
	Owner string
	// InstanceID distinguishes the process from all others, of all hosts and boots. It is the same for every collector of the host that
	// has the same pid namespace.
	InstanceID string
	// CommandLine has at most the first 256 arguments, of at most 16 KiB in total.
	CommandLine []string
	// CommandLineCut: there are more arguments, or the last one is longer.
	CommandLineCut bool
	// ServiceName is never empty; ServiceNameSource is one of the Source constants.
	ServiceName       string
	ServiceNameSource string
	// ResourceAttributes has the pairs of OTEL_RESOURCE_ATTRIBUTES without service.name, in order, at most 64.
	ResourceAttributes []Attribute
	// ContainerID is the runtime's id of the container, for most runtimes 64 hex digits. It is "" outside a container, and
	// for LXC, systemd-nspawn and similar runtimes, which have only names.
	ContainerID   string
	ContainerName string
	// ContainerRuntime is what runs the container; "" if the path does not show it.
	ContainerRuntime string
	PodUID           string // with dashes, "" outside Kubernetes
	// PodContainer is the container's name within the pod.
	PodContainer string
	// CgroupPath is the path that named the container, or else the first that is not a root.
	CgroupPath string
	// CgroupCut: CgroupPath is the end of a longer path.
	CgroupCut bool
}

// ExecutableName is the last element of the executable's path, or "" if there is no meaningful one.
func (i *Info) ExecutableName() string {
	// An anonymous file (memfd_create(2), which runc uses for itself) has a freely chosen name and no place in the file
	// system: the last element of "/memfd:runc_cloned:/proc/self/exe" has no meaning.
	if i.Executable == "" || strings.HasPrefix(i.Executable, "/memfd:") {
		return ""
	}
	if base := path.Base(i.Executable); base != "/" && base != "." {
		return base
	}
	return ""
}

// Bounds of what is kept of one process. maxPath is the kernel's PATH_MAX, and maxName is a usual limit of backends. The others
// prevent one hostile process from filling the collector's memory.
const (
	maxPath           = 4096
	maxName           = 255
	maxComm           = 64 // a task has 15 bytes; a kernel worker also shows its work queue
	maxArgs           = 256
	maxArgBytes       = 16 << 10
	maxEnvironBytes   = 128 << 10
	maxCgroupBytes    = 64 << 10
	maxStatusBytes    = 4 << 10
	maxAttributes     = 64
	maxAttributeKey   = 256
	maxAttributeValue = 1 << 10
)
