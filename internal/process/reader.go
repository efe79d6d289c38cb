package process

import (
	"errors"
	"fmt"
	"io/fs"
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

// Options says where a Reader reads. The zero value is a Reader of this host.
type Options struct {
	// ProcRoot is where procfs is mounted, /proc by default. The pids of Snapshots must be those of its namespace.
	ProcRoot string
	// HostRoot is the root directory below which runtimes keep their containers' names. By default it is that of
	// process 1 by way of ProcRoot, so that a collector in a container that shares the host's pids finds the host's
	// files, and after it the collector's own. An absolute symbolic link below it leads to the collector's root.
	HostRoot string
	// OmitCommandLine leaves Info.CommandLine empty: what is not reported need not be kept.
	OmitCommandLine bool
	// ContainerNames is how many names of containers are remembered, 1024 by default.
	ContainerNames int
	// NegativeExpiration is for how long a container without a name is not looked for again, 30 s by default.
	NegativeExpiration time.Duration
	// Now is time.Now by default.
	Now func() time.Time
}

// Reader describes processes. It is safe for concurrent use.
type Reader struct {
	procRoot        string
	omitCommandLine bool
	names           *containerNames
	scratch         sync.Pool // of *[maxEnvironBytes + 1]byte
	stats           counters
}

// NewReader returns a Reader. It touches no file.
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
	cache, err := lru.New[string, cachedName](o.ContainerNames)
	if err != nil {
		return nil, fmt.Errorf("process reader: %w", err)
	}
	return &Reader{
		procRoot:        o.ProcRoot,
		omitCommandLine: o.OmitCommandLine,
		names:           &containerNames{roots: roots, negative: o.NegativeExpiration, now: o.Now, cache: cache},
		scratch:         sync.Pool{New: func() any { return new([maxEnvironBytes + 1]byte) }},
	}, nil
}

// Describe describes the process of a snapshot. It never fails: what /proc cannot give (gone, no permission) is taken
// from the snapshot, and the worst case is an Info with the id and UnknownService. Of a process that is older than the
// kernel program there is a snapshot of nothing but the id, and all comes from /proc.
//
// The snapshot is the identity of who used the socket. If /proc now shows another program, the process executed it
// afterwards: then only its cgroup, which an exec does not change, is taken from /proc. If it shows another start time,
// the pid is another process's and nothing is. A Start of zero is a time like any other.
func (r *Reader) Describe(s Snapshot) *Info {
	snapshot := r.fromSnapshot(&s)
	if r.complete(&s) { // as it is of most; reading /proc takes some twenty system calls
		r.stats.snapshot.Add(1)
		return r.info(s.ID, &snapshot)
	}
	live, err := r.observe(s.ID)
	outcome := r.stats.outcome(err)
	o := live.orElse(snapshot)
	switch {
	case snapshot.executable == "" || s.FromExecve: // nothing to tell two programs apart by
	case live.executable == "": // nor here: /proc only fills up
		o = snapshot.orElse(live)
	case !sameExecutable(live.executable, snapshot.executable):
		outcome, o = &r.stats.exec, snapshot
	}
	outcome.Add(1)
	// The kernel's path of the cgroup is absolute and of the moment; /proc's is relative to the collector's cgroup
	// namespace, but has the hierarchies of cgroup v1, too.
	o.cgroups = slices.Concat(snapshot.cgroups, live.cgroups)
	return r.info(s.ID, &o)
}

// complete reports whether /proc could add nothing to a snapshot.
func (r *Reader) complete(s *Snapshot) bool {
	return s.Executable != "" && len(s.Environ) > 0 && !s.EnvironCut && s.Cgroup != "" &&
		(r.omitCommandLine || (len(s.Args) > 0 && !s.ArgsCut))
}

func (r *Reader) fromSnapshot(s *Snapshot) observation {
	o := observation{
		comm:       text(s.Comm, maxComm),
		executable: cleanExecutable(s.Executable),
		environ:    parseEnviron(s.Environ, s.EnvironCut),
	}
	if !r.omitCommandLine {
		o.args = parseArgs(s.Args)
	}
	if strings.HasPrefix(s.Cgroup, "/") {
		o.cgroups = []string{s.Cgroup}
	}
	return o
}

// info puts together what is known.
func (r *Reader) info(id ID, o *observation) *Info {
	m, cgroup := join(o.cgroups)
	attributes, attributeName := parseResourceAttributes(o.environ.resourceAttributes)
	i := &Info{
		ID:                 id,
		Comm:               o.comm,
		Executable:         o.executable,
		CommandLine:        o.args,
		ResourceAttributes: attributes,
		ContainerID:        strings.Clone(m.id),
		ContainerName:      r.names.find(m),
		PodUID:             strings.Clone(m.podUID),
		CgroupPath:         cgroup,
	}
	i.nameService(o.environ.serviceName, attributeName)
	return i
}

// Stats counts descriptions by what they could be made of.
type Stats struct {
	Snapshot uint64 // from the snapshot alone: it was complete
	Read     uint64 // from /proc, nothing missing
	Denied   uint64 // from /proc, something missing for lack of permission
	Gone     uint64 // the process had ended
	Changed  uint64 // the pid was another process's, or its program changed while it was read
	Exec     uint64 // the process had executed another program since the snapshot
	Failed   uint64 // /proc could not be read for another reason, such as too many open files
	// NamesFailed counts containers of which the runtime's files could not be read or made no sense.
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

// outcome returns the counter for what observe returned. Of several errors the gravest counts.
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
