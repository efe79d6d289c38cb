package procfs

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Defaults of Options, and bounds.
const (
	defaultInterval  = 100 * time.Millisecond
	defaultSourceAge = 10 * time.Second
	sourcesKept      = 4096  // (network namespace, remote address) pairs
	residentsKept    = 1024  // network namespaces for which a process is remembered
	maxQuestions     = 65536 // queries that wait for a reading
	maxNamespaces    = 1024  // network namespaces whose next reading time is remembered
)

// Options of a Resolver; the zero value reads this host's procfs.
type Options struct {
	ProcRoot  string        // where procfs is mounted, /proc by default; pids are those of its pid namespace
	Interval  time.Duration // minimum time between two readings of one network namespace's tables, 100 ms by default
	SourceAge time.Duration // how long a source address is cached, 10 s by default
}

// Stats counts what a Resolver did. It may be read while the resolver works.
type Stats struct {
	Readings atomic.Uint64             // of a network namespace's tables in /proc
	Listings atomic.Uint64             // of a network namespace's sockets by sock_diag
	Sources  [SourceWays]atomic.Uint64 // look-ups of source addresses that were not cached
}

// SourceWay says how a source address was looked up.
type SourceWay uint8

// The ways.
const (
	SourceOwn     SourceWay = iota // in the collector's own network namespace
	SourceEntered                  // in another one, which was entered
	SourceGuarded                  // in one that could not be entered: its addresses were read instead
	SourceGone                     // in one that no known process is in any more
	SourceWays
)

var sourceWayNames = [SourceWays]string{"own", "entered", "guarded", "gone"}

// String is the way's name in the receiver's own telemetry.
func (w SourceWay) String() string {
	if w < SourceWays {
		return sourceWayNames[w]
	}
	return "unknown"
}

// Resolver looks up what system calls do not show of a socket: its addresses by its inode, its owner's network namespace, and
// the source address that the kernel chooses for a remote address. It is safe for concurrent use.
type Resolver struct {
	root      string
	interval  time.Duration
	sourceAge time.Duration
	own       uint32 // inode of the collector's network namespace; 0: not known
	stats     Stats
	noDiag    atomic.Bool // the kernel does not list sockets by sock_diag, or does not let this process ask

	sources   *lru.Cache[sourceKey, source]
	residents *lru.Cache[uint32, uint32] // by network namespace, the process last seen in it

	mu         sync.Mutex
	closed     bool
	questions  int // waiting, in all namespaces
	namespaces map[uint32]*namespace
	readers    sync.WaitGroup
}

// New returns a Resolver. Close stops it.
func New(o Options) (*Resolver, error) {
	if o.Interval < 0 || o.SourceAge < 0 {
		return nil, fmt.Errorf("resolver of sockets: Interval (%s) and SourceAge (%s) must not be negative", o.Interval, o.SourceAge)
	}
	r := &Resolver{
		root: o.ProcRoot, interval: o.Interval, sourceAge: o.SourceAge,
		namespaces: make(map[uint32]*namespace),
	}
	if r.root == "" {
		r.root = mountPoint
	}
	if r.interval == 0 {
		r.interval = defaultInterval
	}
	if r.sourceAge == 0 {
		r.sourceAge = defaultSourceAge
	}
	var err, again error
	r.sources, err = lru.New[sourceKey, source](sourcesKept)
	r.residents, again = lru.New[uint32, uint32](residentsKept)
	if err = errors.Join(err, again); err != nil {
		return nil, fmt.Errorf("resolver of sockets: %w", err)
	}
	if own, err := threadNetNS(); err == nil { // otherwise it is entered like any other
		r.own = own
	}
	return r, nil
}

// Stats of this resolver.
func (r *Resolver) Stats() *Stats { return &r.stats }

// Close answers the waiting queries with ErrClosed, and returns when no reading is in progress any more.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	for _, n := range r.namespaces {
		if n.timer != nil && n.timer.Stop() {
			r.readers.Done()
		}
		r.refuse(n.take(), ErrClosed)
	}
	r.mu.Unlock()
	r.readers.Wait()
}
