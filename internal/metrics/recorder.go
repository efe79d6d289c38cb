package metrics

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// Recorder measures what one shard reports. It is for one goroutine.
type Recorder struct {
	store  *Store
	plans  map[*protocol.Keys]*plan
	owners map[ownerKey]*owner
	key    []byte // of the series that is looked for

	latest struct { // which are mostly needed again
		keys  *protocol.Keys
		plan  *plan
		info  *process.Info
		owner *owner
	}
	overflowed atomic.Uint64

	peers     Peers
	waiting   queue
	unsettled atomic.Uint64
	ends      [2]atomic.Uint64 // exchanges within this host, by whether this end was asking
}

// ownerKey is what an owner is found by: a process as it is described, or a service; the zero one is the host.
type ownerKey struct {
	info    *process.Info
	service string
}

func (r *Recorder) ownerKeyOf(info *process.Info) ownerKey {
	if r.store.options.ByService && info != r.store.graph {
		return ownerKey{service: info.ServiceName}
	}
	return ownerKey{info: info}
}

// owner has what a shard has measured of one process, or one service.
type owner struct {
	tallies  map[string]*Tally // by key
	overflow map[byte]*Tally   // by family
	routes   *learnedRoutes    // nil: they have not been needed yet
}

// Tally is what a shard has measured of a series since it last handed that over.
type Tally struct {
	series    *Series
	points    []Point
	exemplars exemplars
	// level is what there is of a Level at present, and handedLevel what the store knows of it.
	level, handedLevel int64
	exponential        bool
}

// Recorder returns a new recorder of the store.
func (s *Store) Recorder(peers Peers) *Recorder {
	return &Recorder{store: s, peers: peers, plans: make(map[*protocol.Keys]*plan), owners: make(map[ownerKey]*owner)}
}

// Unsettled is how many measurements did not wait until it was known who has the other end of their connection. It may be called from any goroutine.
func (r *Recorder) Unsettled() uint64 { return r.unsettled.Load() }

// Ends are how many exchanges between processes of this host have been measured at the end that was asked, and at the one that asked. They may be called
// from any goroutine.
func (r *Recorder) Ends() (asked, asking uint64) { return r.ends[0].Load(), r.ends[1].Load() }

// Overflowed is how many measurements had no room for a series of their own. It may be called from any goroutine.
func (r *Recorder) Overflowed() uint64 { return r.overflowed.Load() }

// Exchanged measures an exchange of a connection, which took so long and ended at a time (Unix, ns). It returns what an exemplar can be added to; nil:
// the exchange has no metric, or is measured later.
func (r *Recorder) Exchanged(c *socket.Connection, x *protocol.Exchange, took time.Duration, at int64) *Tally {
	if x.Kind != protocol.Call || x.Capture == protocol.CaptureCut || c.Role == event.RoleUnknown || x.Keys == nil {
		return nil
	}
	p := r.planOf(x.Keys)
	asking := (x.Initiator == protocol.FromClient) == (c.Role == event.RoleClient)
	f := p.familyOf(x, asking)
	if f == nil {
		return nil
	}
	m := measured{family: f, took: took, at: at, request: x.RequestBody, response: x.ResponseBody, asking: asking, failed: x.Error != "" || x.Errno != 0}
	if f.phases > 0 {
		m.phases = x.Phases()
	}
	if f.graph {
		r.connect(c, &m)
	}
	r.key = p.appendKey(r.key[:0], f, x)
	if !f.server {
		route := r.appendRoute(c.Process, p, f, x)
		return r.add(c.Process, &m, func() []Attribute { return withRoute(p.attributesOf(f, x, &r.store.options), route, &r.store.options) })
	}
	to := newServerOf(c, x)
	if to.named == "" && c.PeerQuestion.At != 0 {
		m.server, m.key, m.attributes = to, bytes.Clone(r.key), p.attributesOf(f, x, &r.store.options)
		r.await(named, c, &m)
		return nil
	}
	r.key = to.appendKey(r.key, c)
	return r.add(c.Process, &m, func() []Attribute {
		return to.appendAttributes(p.attributesOf(f, x, &r.store.options), c, &r.store.options)
	})
}

// appendRoute appends the route that was learned to r.key, and returns it.
func (r *Recorder) appendRoute(info *process.Info, p *plan, f *Family, x *protocol.Exchange) []byte {
	if !f.routed || !r.store.options.LearnRoutes {
		return nil
	}
	path := p.pathOf(x)
	if path == nil {
		return nil
	}
	from := len(r.key)
	r.key = r.routesOf(info).appendRoute(r.key, path, p.hasSucceeded(x))
	return r.key[from:]
}

// withRoute adds a route, if there is one.
func withRoute(all []Attribute, route []byte, o *Options) []Attribute {
	if len(route) == 0 {
		return all
	}
	return append(all, Attribute{Key: httpRoute, Text: o.Text(string(route))})
}

// measured is what there is to add of an exchange.
type measured struct {
	family            *Family
	took              time.Duration
	at                int64 // Unix time, ns: the end
	request, response protocol.Size
	phases            [3]protocol.Phase
	asking            bool // this end began it
	failed            bool

	// Of one whose server has no name yet: who that is, and the rest of its series.
	server     serverOf
	key        []byte
	attributes []Attribute
}

// named measures an exchange once it is known what its server is called.
func (r *Recorder) named(c *socket.Connection, m *measured) {
	r.key = m.server.appendKey(append(r.key[:0], m.key...), c)
	r.add(c.Process, m, func() []Attribute { return m.server.appendAttributes(m.attributes, c, &r.store.options) })
}

// add adds to the series with r.key.
func (r *Recorder) add(info *process.Info, m *measured, attributes func() []Attribute) *Tally {
	t := r.known(info)
	if t == nil {
		t = r.begin(info, m.family, m.at, attributes)
	}
	t.record(0, m.took.Seconds())
	if m.family.bodies {
		t.recordSize(1, m.request)
		t.recordSize(2, m.response)
	}
	if first := m.family.phases; first > 0 {
		for i, took := range m.phases {
			if took.Known {
				t.record(first+i, took.Seconds())
			}
		}
	}
	return t
}

func (r *Recorder) planOf(keys *protocol.Keys) *plan {
	if r.latest.keys == keys {
		return r.latest.plan
	}
	p := r.plans[keys]
	if p == nil {
		p = newPlan(keys, r.store.families)
		r.plans[keys] = p
	}
	r.latest.keys, r.latest.plan = keys, p
	return p
}

// known is what the shard has measured of the series with r.key; nil: it does not know it.
func (r *Recorder) known(info *process.Info) *Tally {
	if info == r.store.graph { // between two measurements of a process
		if o := r.owners[ownerKey{info: info}]; o != nil {
			return o.tallies[string(r.key)]
		}
		return nil
	}
	if r.latest.info != info {
		r.latest.info, r.latest.owner = info, r.owners[r.ownerKeyOf(info)]
	}
	if r.latest.owner == nil {
		return nil
	}
	return r.latest.owner.tallies[string(r.key)]
}

// routesOf are those of a process, which all shards share.
func (r *Recorder) routesOf(info *process.Info) *learnedRoutes {
	if r.latest.info != info {
		r.latest.info, r.latest.owner = info, r.owners[r.ownerKeyOf(info)]
	}
	if o := r.latest.owner; o != nil && o.routes != nil {
		return o.routes
	}
	routes := r.store.routesOf(info)
	if o := r.latest.owner; o != nil {
		o.routes = routes
	}
	return routes
}

// begin finds or begins the series with r.key, or one that takes its place if there is no room.
func (r *Recorder) begin(info *process.Info, f *Family, at int64, attributes func() []Attribute) *Tally {
	r.store.mu.Lock()
	s := r.store.seriesOf(info, f, r.key, at, attributes)
	r.store.mu.Unlock()
	key := r.ownerKeyOf(info)
	if s.resource == r.store.host {
		key = ownerKey{}
	}
	o := r.owners[key]
	if o == nil {
		o = &owner{tallies: make(map[string]*Tally), overflow: make(map[byte]*Tally)}
		r.owners[key] = o
		r.latest.info, r.latest.owner = nil, nil // it may have been looked for in vain
	}
	return r.tallyOf(o, s)
}

// tallyOf is the tally of a series, which may be new.
func (r *Recorder) tallyOf(o *owner, s *Series) *Tally {
	if !s.Overflow {
		t := r.newTally(s)
		o.tallies[s.key] = t
		return t
	}
	r.overflowed.Add(1)
	t := o.overflow[s.Family.id]
	if t == nil {
		t = r.newTally(s)
		o.overflow[s.Family.id] = t
	}
	t.series = s // the one before may have ended
	return t
}

func (r *Recorder) newTally(s *Series) *Tally {
	return &Tally{series: s, points: make([]Point, len(s.Family.Instruments)), exponential: r.store.options.Exponential}
}

func (t *Tally) record(instrument int, value float64) {
	t.points[instrument].record(value, t.series.Family.Instruments[instrument].Bounds, t.exponential)
}

func (t *Tally) recordSize(instrument int, n protocol.Size) {
	if n.Known {
		t.record(instrument, float64(n.Bytes))
	}
}

// Exemplify adds a measurement of which a span is emitted.
func (t *Tally) Exemplify(x *Exemplar) { t.exemplars.add(x) }

func (t *Tally) isEmpty() bool {
	for i := range t.points {
		if t.points[i].Count > 0 {
			return false
		}
	}
	return t.exemplars.count == 0 && t.level == 0 && t.handedLevel == 0
}

func (t *Tally) reset() {
	for i := range t.points {
		t.points[i].reset()
	}
	t.exemplars = exemplars{}
}
