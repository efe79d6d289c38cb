package process

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/socketflow/socketflow/internal/procfs"
)

// Defaults of Options.
const (
	defaultProcRoot           = "/proc"
	defaultContainerNames     = 1024
	defaultNegativeExpiration = 30 * time.Second
)

// Options of a Reader. The zero value is for this host.
type Options struct {
	// ProcRoot is where procfs is mounted, /proc by default. The pids of Snapshots must be those of its pid namespace.
	ProcRoot string
	// HostRoot is the root directory below which the runtimes' files are. By default it is the root of process 1 in
	// ProcRoot, and then the collector's own: so a collector in a container that shares the host's pid namespace finds the
	// host's files. An absolute symbolic link below HostRoot is relative to the collector's root.
	HostRoot string
	// OmitCommandLine leaves Info.CommandLine empty, which saves memory if it is not emitted.
	OmitCommandLine bool
	// ContainerNames is how many names of containers are cached, 1024 by default.
	ContainerNames int
	// NegativeExpiration is how long it is cached that a container has no name, 30 s by default.
	NegativeExpiration time.Duration
	// Now is time.Now by default.
	Now func() time.Time
}

// Reader describes processes. It is safe for concurrent use.
type Reader struct {
	procRoot        string
	omitCommandLine bool
	names           *containerNames
	users           *users
	host            Host
	scratch         sync.Pool // of *[maxEnvironBytes + 1]byte
	stats           counters
}

// NewReader returns a Reader, which has read what it needs to know of the host.
func NewReader(o Options) (*Reader, error) {
	if o.ContainerNames < 0 || o.NegativeExpiration < 0 {
		return nil, fmt.Errorf("process reader: ContainerNames (%d) and NegativeExpiration (%s) must not be negative",
			o.ContainerNames, o.NegativeExpiration)
	}
	if o.ProcRoot == "" {
		o.ProcRoot = defaultProcRoot
	}
	roots := []string{o.HostRoot}
	if o.HostRoot == "" {
		roots = []string{filepath.Join(o.ProcRoot, "1", "root"), "/"}
	}
	if o.ContainerNames == 0 {
		o.ContainerNames = defaultContainerNames
	}
	if o.NegativeExpiration == 0 {
		o.NegativeExpiration = defaultNegativeExpiration
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	host, err := readHost(o.ProcRoot, roots)
	if err != nil {
		return nil, fmt.Errorf("process reader: %w", err)
	}
	cache, err := lru.New[string, cachedName](o.ContainerNames)
	if err != nil {
		return nil, fmt.Errorf("process reader: %w", err)
	}
	return &Reader{
		procRoot:        o.ProcRoot,
		omitCommandLine: o.OmitCommandLine,
		users:           newUsers(roots, o.Now),
		host:            host,
		names:           &containerNames{roots: roots, negative: o.NegativeExpiration, now: o.Now, cache: cache},
		scratch:         sync.Pool{New: func() any { return new([maxEnvironBytes + 1]byte) }},
	}, nil
}

// Describe describes the process of a snapshot. It never fails: what cannot be read from /proc (process gone, no permission)
// is taken from the snapshot, and the worst case is an Info with only the id and UnknownService. The snapshot of a process
// that is older than the BPF program has only the id: everything comes from /proc.
//
// The snapshot shows which program used the socket. If /proc shows another program, the process executed it later: then only
// the cgroup, which an exec does not change, is taken from /proc. If /proc shows another start time, the pid was reused, and
// nothing is taken from /proc. A Start of zero is compared like any other.
func (r *Reader) Describe(s Snapshot) *Info {
	snapshot := r.fromSnapshot(&s)
	if r.complete(&s) { // the usual case; reading /proc takes some twenty system calls
		r.stats.snapshot.Add(1)
		i := r.info(s.ID, &snapshot)
		i.CreatedAt = r.host.createdAt(s.Start)
		return i
	}
	live, err := r.observe(s.ID)
	outcome := r.stats.outcome(err)
	o := live.orElse(snapshot)
	switch {
	case s.FromExecve && !sameProgram(&live, &snapshot): // or the pid has been reused within a tick
		outcome, o, live.cgroups = &r.stats.exec, snapshot, nil
	case snapshot.executable == "" || s.FromExecve: // two programs cannot be distinguished
	case live.executable == "": // nor here: prefer the snapshot
		o = snapshot.orElse(live)
	case !sameExecutable(live.executable, snapshot.executable):
		outcome, o = &r.stats.exec, snapshot
	}
	outcome.Add(1)
	// The BPF program's cgroup path is absolute and of the time of the event. /proc's is relative to the collector's cgroup
	// namespace, but has the hierarchies of cgroup v1, too.
	if o.cgroups = slices.Concat(snapshot.cgroups, live.cgroups); s.CgroupCut {
		o.cgroups = slices.Concat(live.cgroups, snapshot.cgroups)
	}
	i := r.info(s.ID, &o)
	i.CgroupCut = s.CgroupCut && len(live.cgroups) == 0
	if !s.FromExecve || live.comm != "" { // else the start is when the process was first seen
		i.CreatedAt = r.host.createdAt(s.Start)
	}
	return i
}

// sameProgram reports whether a snapshot with the argument of an execve may be of the program that /proc shows. The file may have another
// name, but the comm is that of the argument in both, unless a thread has renamed itself.
func sameProgram(live, snapshot *observation) bool {
	if live.comm == "" || snapshot.comm == "" || live.comm == snapshot.comm || sameExecutable(live.executable, snapshot.executable) {
		return true
	}
	called := path.Base(snapshot.executable)
	return live.comm == called[:min(len(called), commLength)]
}

// complete reports whether a snapshot has everything that /proc could add.
func (r *Reader) complete(s *Snapshot) bool {
	return s.Executable != "" && !s.ExecutableCut && len(s.Environ) > 0 && !s.EnvironCut && s.Cgroup != "" && !s.CgroupCut &&
		(r.omitCommandLine || (len(s.Args) > 0 && !s.ArgsCut))
}

func (r *Reader) fromSnapshot(s *Snapshot) observation {
	o := observation{
		comm:       text(s.Comm, maxComm),
		executable: cleanExecutable(s.Executable),
		cut:        s.ExecutableCut,
		uid:        s.UID,
		environ:    parseEnviron(s.Environ, s.EnvironCut),
	}
	r.readArgs(&o, s.Args, s.ArgsCut)
	if strings.HasPrefix(s.Cgroup, "/") {
		o.cgroups = []string{s.Cgroup}
	}
	return o
}

// info makes the Info of an observation.
func (r *Reader) info(id ID, o *observation) *Info {
	m, cgroup := join(o.cgroups)
	attributes, attributeName := parseResourceAttributes(o.environ.resourceAttributes)
	i := &Info{
		ID:                 id,
		Comm:               o.comm,
		Executable:         o.executable,
		ExecutableCut:      o.cut,
		InstanceID:         r.host.instanceID(id),
		CommandLine:        o.args,
		CommandLineCut:     o.argsCut,
		ResourceAttributes: attributes,
		ContainerID:        strings.Clone(m.id),
		ContainerName:      r.names.find(m),
		ContainerRuntime:   runtimes[m.engine],
		PodUID:             strings.Clone(m.podUID),
		CgroupPath:         cgroup,
		Owner:              r.users.name(o.uid, m.inContainer()),
	}
	for _, a := range attributes {
		if a.Key == "service.instance.id" && a.Value != "" {
			i.InstanceID = a.Value // what its own SDK says, too
		}
	}
	if i.PodUID != "" {
		i.PodContainer = i.ContainerName
	}
	i.nameService(o.environ.serviceName, attributeName, o.argv0)
	return i
}

// Host describes the host of all processes.
func (r *Reader) Host() Host { return r.host }

// Stats counts descriptions by their source.
type Stats struct {
	Snapshot uint64 // from the snapshot alone: it was complete
	Read     uint64 // from /proc, nothing missing
	Denied   uint64 // from /proc, incomplete for lack of permission
	Gone     uint64 // the process had ended
	Changed  uint64 // the pid was reused, or the program changed while it was read
	Exec     uint64 // the process had executed another program since the snapshot
	Failed   uint64 // /proc could not be read for another reason, such as too many open files
	// NamesFailed counts containers for which the runtime's files could not be read or parsed.
	NamesFailed uint64
}

// Stats returns the counts since NewReader.
func (r *Reader) Stats() Stats {
	return Stats{
		Snapshot:    r.stats.snapshot.Load(),
		Read:        r.stats.read.Load(),
		Denied:      r.stats.denied.Load(),
		Gone:        r.stats.gone.Load(),
		Changed:     r.stats.changed.Load(),
		Exec:        r.stats.exec.Load(),
		Failed:      r.stats.failed.Load(),
		NamesFailed: r.names.failures.Load(),
	}
}

type counters struct{ snapshot, read, denied, gone, changed, exec, failed atomic.Uint64 }

// outcome returns the counter for an error of observe. Of several errors the first case counts.
func (c *counters) outcome(err error) *atomic.Uint64 {
	switch {
	case err == nil:
		return &c.read
	case errors.Is(err, errChanged):
		return &c.changed
	case procfs.IsMissing(err):
		return &c.gone
	case errors.Is(err, fs.ErrPermission):
		return &c.denied
	default:
		return &c.failed
	}
}

// Lives reports whether a process has not ended.
func (r *Reader) Lives(id ID) bool {
	h, err := procfs.Open(r.procRoot, id.PID)
	if err != nil {
		return false
	}
	stat, err := h.Stat()
	return h.Close() == nil && err == nil && stat.Start == id.Start
}
