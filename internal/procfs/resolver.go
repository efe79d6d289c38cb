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
	residentsKept    = 1024  // network namespaces of which a process is remembered
	maxQuestions     = 65536 // queries that wait for the tables to be read
	maxNamespaces    = 1024  // network namespaces of which it is remembered when they may be read again
)

// Options of a Resolver; the zero value reads this host's procfs.
type Options struct {
	ProcRoot  string        // where procfs is mounted, /proc by default; the pids are those of its pid namespace
	Interval  time.Duration // at least, between two readings of one network namespace's tables, 100 ms by default
	SourceAge time.Duration // for how long a source address is remembered, 10 s by default
}

// Stats counts what a Resolver did. It may be read while the resolver works.
type Stats struct {
	Readings atomic.Uint64             // of a network namespace's tables
	Sources  [SourceWays]atomic.Uint64 // source addresses looked for that were not remembered
}

// SourceWay is how a source address was looked for.
type SourceWay uint8

// The ways.
const (
	SourceOwn     SourceWay = iota // in the collector's own network namespace
	SourceEntered                  // in one that was entered
	SourceGuarded                  // in one that could not be entered, and whose addresses were read instead
	SourceGone                     // in one that no process led to any more
	SourceWays
)

var sourceWayNames = [SourceWays]string{"own", "entered", "guarded", "gone"}

// String is the way's name in own telemetry.
func (w SourceWay) String() string {
	if w < SourceWays {
		return sourceWayNames[w]
	}
	return "unknown"
}

// Resolver finds what system calls do not tell of a socket: its addresses by its inode, its owner's network namespace, and the source
// address that the kernel takes towards a remote one. It is safe for concurrent use.
type Resolver struct {
	root      string
	interval  time.Duration
	sourceAge time.Duration
	own       uint32 // inode of the collector's network namespace; 0: not known
	stats     Stats

	sources   *lru.Cache[sourceKey, source]
	residents *lru.Cache[uint32, uint32] // a process that was seen in a network namespace

	mu         sync.Mutex
	closed     bool
	questions  int // that wait, of all namespaces
	namespaces map[uint32]*namespace
	readers    sync.WaitGroup
}

// New returns a Resolver. Close ends its readings.
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
	if own, err := threadNetNS(); err == nil { // else it is entered like any other
		r.own = own
	}
	return r, nil
}

// Stats of this resolver.
func (r *Resolver) Stats() *Stats { return &r.stats }

// Close answers the queries that wait with ErrClosed, and returns when nothing of the resolver runs any more.
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
