package metrics

import (
	"sync"

	"github.com/socketflow/socketflow/internal/process"
)

// Store has the series of all shards. It is safe for concurrent use.
type Store struct {
	options  Options
	families []exchangeFamily

	mu        sync.Mutex
	resources map[identity]*Resource
	order     []*Resource   // in which they began
	host      *Resource     // what no process has room for
	graph     *process.Info // stands for the host in the service graph
	used      int           // series of their own
	overflows int           // series of processes that take the place of others
	began     int64         // Unix time, ns: since when nothing has been emitted
}

// identity of a process: a process that executes another program keeps its id.
type identity struct {
	process.ID
	service, instance string
}

// Resource is a process that has series.
type Resource struct {
	Info     *process.Info // what is known of it last
	identity identity
	series   map[string]*Series // by key
	overflow map[byte]*Series   // by family
	own      int                // of series
	touched  int64              // Unix time, ns: when something was measured last
	routes   *learnedRoutes     // of its servers of HTTP; nil: none was needed yet
}

// Series is a series of each instrument of a family.
type Series struct {
	Family     *Family
	Attributes []Attribute
	Overflow   bool    // it has what other series had no room for
	Start      int64   // Unix time, ns
	Points     []Point // by instrument

	resource  *Resource
	key       string
	touched   int64
	exemplars exemplars
	ended     bool
}

// Exemplars are those of the first instrument.
func (s *Series) Exemplars() []Exemplar { return s.exemplars.all[:s.exemplars.count] }

// NewStore returns a store without series, at a time (Unix, ns).
func NewStore(o Options, now int64) *Store {
	s := &Store{options: o, families: exchangeFamilies(o.Phases), resources: make(map[identity]*Resource), graph: new(process.Info), began: now}
	s.host = newResource(&process.Info{ServiceName: process.UnknownService, ServiceNameSource: process.SourceUnknown}, identity{})
	s.order = append(s.order, s.host)
	return s
}

func newResource(info *process.Info, id identity) *Resource {
	return &Resource{Info: info, identity: id, series: make(map[string]*Series), overflow: make(map[byte]*Series)}
}

// Used is how many series there are.
func (s *Store) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used + s.overflows + len(s.host.overflow)
}

// routesOf are the routes of a process; new ones, which nobody keeps, if it has no series yet.
func (s *Store) routesOf(info *process.Info) *learnedRoutes {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.resources[s.identityOf(info)]
	if r == nil {
		return newLearnedRoutes()
	}
	if r.routes == nil {
		r.routes = newLearnedRoutes()
	}
	return r.routes
}

// overflowShare of the room is for the series of processes that take the place of others.
const overflowShare = 8

// room is how many series a process may begin. None takes more than are left for the others.
func (s *Store) room(of *Resource) int {
	own := 0
	if of != nil {
		own = of.own
	}
	return s.options.Series - s.options.Series/overflowShare - s.used - own
}

// seriesOf finds or begins a series; s.mu is held.
func (s *Store) seriesOf(info *process.Info, f *Family, key []byte, at int64, attributes func() []Attribute) *Series {
	id := s.identityOf(info)
	r := s.resources[id]
	if r != nil {
		if !s.options.ByService {
			r.Info = info
		}
		if found := r.series[string(key)]; found != nil {
			return found
		}
	}
	if s.room(r) <= 0 {
		return s.overflowOf(r, info, id, f, at)
	}
	if r == nil {
		r = s.begin(info, id, at)
	}
	made := s.newSeries(r, f, at)
	made.key, made.Attributes = string(key), attributes()
	r.series[made.key] = made
	r.own++
	s.used++
	return made
}

// overflowOf is the series that takes the place of those for which a process, or the host, has no room.
func (s *Store) overflowOf(r *Resource, info *process.Info, id identity, f *Family, at int64) *Series {
	if r != nil {
		if found := r.overflow[f.id]; found != nil {
			return found
		}
	}
	if s.overflows >= s.options.Series/overflowShare {
		r = s.host
	} else {
		if r == nil {
			r = s.begin(info, id, at)
		}
		s.overflows++
	}
	made := r.overflow[f.id]
	if made == nil {
		made = s.newSeries(r, f, at)
		made.Overflow = true
		r.overflow[f.id] = made
	}
	return made
}

// identityOf is that of the resource of a process. A service has no process.
func (s *Store) identityOf(info *process.Info) identity {
	if s.options.ByService {
		return identity{service: info.ServiceName}
	}
	return identity{info.ID, info.ServiceName, info.InstanceID}
}

func (s *Store) begin(info *process.Info, id identity, at int64) *Resource {
	if s.options.ByService {
		info = &process.Info{ServiceName: info.ServiceName, ServiceNameSource: info.ServiceNameSource}
	}
	r := newResource(info, id)
	r.touched = max(s.began, at)
	s.resources[id] = r
	s.order = append(s.order, r)
	return r
}

// newSeries begins a series that has something of a time on.
func (s *Store) newSeries(r *Resource, f *Family, at int64) *Series {
	return &Series{Family: f, Points: make([]Point, len(f.Instruments)), Start: min(s.began, at), resource: r, touched: max(s.began, at)}
}
