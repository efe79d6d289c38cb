package trace

// MaxCandidates is how many candidates of a request are named at the most.
const MaxCandidates = 4

// Candidate is a request that a process had received and that may be why it sent another one.
type Candidate struct {
	Trace  [16]byte
	Span   [8]byte
	Flags  uint8  // of the trace
	Source Source // the best evidence for it, which was not trusted, or which others have, too
}

// Candidates are those of one request. The memory is used again.
type Candidates struct {
	Named  []Candidate // the best ones first
	Beyond int         // how many more there are
}

// add names a candidate. It returns false if there are enough.
func (c *Candidates) add(p *Parent, source Source) bool {
	for i := range c.Named {
		if c.Named[i].Span == p.Span {
			return true
		}
	}
	if len(c.Named) == MaxCandidates {
		return false
	}
	c.Named = append(c.Named, Candidate{Trace: p.Trace, Span: p.Span, Flags: p.Flags, Source: source})
	return true
}

// Candidates finds the requests one of which may be why a process has sent a request that has no parent. As for Resolve, all events from before
// the exchange have to be handled by then.
func (e *Exchanges) Candidates(k ExchangeKey, c *Candidates) {
	c.Named, c.Beyond = c.Named[:0], 0
	n, found := e.get(k)
	if !found || !n.IDs.Asks || !e.trusted.withinProcess() || !e.serves(n.Process) {
		return
	}
	if p := e.causeOf(&n, maxDepth); p.Source != SourceNone { // which came too late
		c.add(&p, p.Source)
	}
	if x, source := e.receivedLast(&n); source != SourceNone {
		if p := e.claim(&x, source, maxDepth); p.Source != SourceNone {
			c.add(&p, p.Source)
		}
	}
	e.addSameID(&n, c)
	e.addOwed(&n, c)
	e.addServed(&n, c)
}

// addSameID adds the requests with the same id.
func (e *Exchanges) addSameID(n *node, c *Candidates) {
	if e.requestIDs == nil || n.requestID == 0 {
		return
	}
	var all [carriersEach]ExchangeKey
	count, _ := e.requestIDs.carriersOf(n, &all)
	for _, k := range all[:count] {
		e.addRequest(k, SourceRequestID, c)
	}
}

// addOwed adds the requests that the goroutine or the thread which sent another one had read and not answered then.
func (e *Exchanges) addOwed(n *node, c *Candidates) {
	source := SourceThread
	if n.Goroutine.Number != 0 {
		source = SourceGoroutine
	}
	if n.Cause.Carrier {
		return
	}
	r := n.reader()
	read, found := e.readingsOf(r)
	for i := 0; found && i < len(read); i++ {
		if read[i].first <= n.At && read[i].socket != 0 {
			e.addOwedOn(read[i].socket, r, n.At, source, c)
		}
	}
}

// addOwedOn adds those of one connection.
func (e *Exchanges) addOwedOn(socket uint64, r reader, at uint64, source Source, c *Candidates) {
	var keys [MaxCandidates]ExchangeKey
	count := 0
	p := e.part(socket)
	p.mu.Lock()
	i := p.lastBefore(socket, at)
	for steps := 0; i >= p.first && steps < maxLookBack && count < len(keys); steps++ {
		x := p.at(i)
		if x.reader() == r && x.isOwedAt(at) && at <= x.At+maxServing {
			keys[count] = x.ExchangeKey
			count++
		}
		i = x.before
	}
	p.mu.Unlock()
	for _, k := range keys[:count] {
		e.addRequest(k, source, c)
	}
}

// addServed adds the requests that the process was serving, the latest ones first, and counts the others.
func (e *Exchanges) addServed(n *node, c *Candidates) {
	var latest [2 * MaxCandidates]ExchangeKey
	all := e.servedAt(n, latest[:])
	c.Beyond = all
	for _, k := range latest[:min(all, MaxCandidates+len(c.Named))] { // some may be named already
		if e.addRequest(k, SourceOnly, c) {
			c.Beyond--
		}
	}
}

// addRequest adds a request that the process has received. It returns false if there are enough.
func (e *Exchanges) addRequest(k ExchangeKey, source Source, c *Candidates) bool {
	x, found := e.get(k)
	if !found || !x.resolved && e.awaitsOtherEnd(&x) {
		return false
	}
	p := e.claim(&x, source, maxDepth)
	return p.Source != SourceNone && c.add(&p, source)
}
