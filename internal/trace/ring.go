package trace

import "slices"

const (
	// minRing is how many exchanges a part has room for at the least. A power of two.
	minRing = 16
	// remembered is for how long an exchange is remembered after its end, ns.
	remembered = 5e9
)

// find returns an exchange that something is emitted of, or nil.
func (p *exchangesPart) find(k ExchangeKey) *node {
	if i, found := p.byKey[k]; found {
		if n := p.at(i); !n.gone {
			return n
		}
		return nil
	}
	for i := range p.long[k.Socket] {
		if n := &p.long[k.Socket][i]; n.ExchangeKey == k && !n.gone {
			return n
		}
	}
	return nil
}

// at is the exchange with a number.
func (p *exchangesPart) at(i uint64) *node { return &p.ring[i&uint64(len(p.ring)-1)] }

// add adds an exchange, and makes room for it: there are twice as many as there should be at the most, if a few parts have had most of the room. It returns false if others would have to give way to one more of its socket.
func (e *Exchanges) add(p *exchangesPart, n *node) bool {
	count, share := e.count.Load(), uint64(e.most)/parts // of one part, which others cannot take from it
	full := count >= e.most && p.next-p.first >= share
	if e.underWay.Load() >= e.most/2 && p.chains[n.Socket].underWay >= enough {
		e.forgotten.Add(1)
		return false
	}
	for range 2 { // sooner or later there is room
		e.retire(p, n.At, full)
	}
	p.append(n)
	e.count.Add(1)
	e.underWay.Add(1)
	return true
}

// append adds an exchange as the last one of all, and of its socket.
func (p *exchangesPart) append(n *node) {
	if p.next-p.first == uint64(len(p.ring)) {
		p.resize(2 * len(p.ring))
	}
	c := p.chains[n.Socket]
	p.link(n, c.last)
	*p.at(p.next) = *n
	p.byKey[n.ExchangeKey], p.chains[n.Socket] = p.next, chain{p.next, c.underWay + 1}
	p.next++
}

// link makes an exchange the next one of its socket behind another. The far links make a skew-binary number of each depth (Myers: An
// Applicative Random-Access Stack, 1983): so each exchange is found in a number of steps that is logarithmic.
func (p *exchangesPart) link(n *node, before uint64) {
	n.before, n.far, n.depth = before, before, 0
	if before < p.first {
		return
	}
	b := p.at(before)
	n.depth = b.depth + 1
	if b.far < p.first {
		return
	}
	if f := p.at(b.far); f.far >= p.first && b.depth-f.depth == f.depth-p.at(f.far).depth {
		n.far = f.far
	}
}

// lastBefore is the number of the exchange of a socket that began last before a time or at it; below first: there is none.
func (p *exchangesPart) lastBefore(socket, at uint64) uint64 {
	i := p.chains[socket].last
	for i >= p.first {
		n := p.at(i)
		if n.At <= at {
			return i
		}
		if n.far >= p.first && p.at(n.far).At > at {
			i = n.far
		} else {
			i = n.before
		}
	}
	return i
}

// end notes the end of an exchange.
func (e *Exchanges) end(p *exchangesPart, n *node, a *Answer) {
	if i, inRing := p.byKey[n.ExchangeKey]; inRing && n.answer.At == 0 && p.at(i) == n {
		e.leave(p, n.Socket)
	}
	n.answer = *a
	n.answer.At = max(a.At, 1)
}

// leave notes that one exchange less of a socket is under way, or that it has been for long.
func (e *Exchanges) leave(p *exchangesPart, socket uint64) {
	e.underWay.Add(-1)
	if c, found := p.chains[socket]; found && c.underWay > 0 {
		p.chains[socket] = chain{c.last, c.underWay - 1}
	}
}

func (p *exchangesPart) resize(size int) {
	old := p.ring
	p.ring = make([]node, size)
	for i := p.first; i < p.next; i++ {
		*p.at(i) = old[i&uint64(len(old)-1)]
	}
}

// maxLong bounds how many exchanges of a connection are remembered that have been under way for long.
const maxLong = 128

// retire takes the oldest exchange from the ring if it ended long ago, or began long ago, or if there is no room for more. If it stays, so do all
// behind it, and retire returns false.
func (e *Exchanges) retire(p *exchangesPart, now uint64, full bool) bool {
	if p.first == p.next {
		return false
	}
	oldest := p.at(p.first)
	underWay := oldest.answer.At == 0
	old := now > max(oldest.At, oldest.answer.At)+remembered
	if !old && !full {
		return false
	}
	n := *oldest
	*oldest = node{}
	delete(p.byKey, n.ExchangeKey)
	if underWay {
		e.leave(p, n.Socket)
	}
	if p.chains[n.Socket].last == p.first {
		delete(p.chains, n.Socket)
	}
	p.first++
	if underWay && !full && len(p.long[n.Socket]) < maxLong {
		p.long[n.Socket] = append(p.long[n.Socket], n)
		return true
	}
	if underWay || !old {
		e.forgotten.Add(1)
	}
	e.forget(p, &n)
	return true
}

// retireLong forgets those that have been under way for long and ended long ago.
func (e *Exchanges) retireLong(p *exchangesPart, now uint64) {
	for socket, all := range p.long {
		all = slices.DeleteFunc(all, func(n node) bool {
			old := n.answer.At != 0 && now > n.answer.At+remembered
			if old {
				e.forget(p, &n)
			}
			return old
		})
		if p.long[socket] = all; len(all) == 0 {
			delete(p.long, socket)
		}
	}
}

// Expire forgets exchanges that ended long before now (CLOCK_MONOTONIC, ns). It looks at one part, another one each time.
func (e *Exchanges) Expire(now, turn uint64) {
	p := &e.parts[turn%parts]
	p.mu.Lock()
	for range p.next - p.first {
		if !e.retire(p, now, false) {
			break
		}
	}
	e.retireLong(p, now)
	if in := int(p.next - p.first); len(p.ring) > minRing && in < len(p.ring)/8 {
		p.resize(len(p.ring) / 2)
	}
	p.mu.Unlock()
}

// noteAsking lets the other end find an exchange.
func (e *Exchanges) noteAsking(ids *Exchange, k ExchangeKey) {
	if !ids.Joined || !ids.Asks {
		return
	}
	p := e.askingPart(ids.Own)
	p.mu.Lock()
	p.byIDs[ids.Own] = k
	p.mu.Unlock()
}

// unnoteAsking takes that back, where an exchange gets other ids.
func (e *Exchanges) unnoteAsking(before, now *Exchange) {
	if !before.Joined || !before.Asks || before.Own == now.Own {
		return
	}
	p := e.askingPart(before.Own)
	p.mu.Lock()
	delete(p.byIDs, before.Own)
	p.mu.Unlock()
}

// forget takes back that the other end can find an exchange.
func (e *Exchanges) forget(p *exchangesPart, n *node) {
	e.count.Add(-1)
	delete(p.states, n.ExchangeKey)
	if n.serving != 0 && n.answer.At == 0 { // nobody will find it to say that it has ended
		e.endServing(n.Process, n.serving, n.At)
	}
	if !n.IDs.Joined || !n.IDs.Asks {
		return
	}
	asking := e.askingPart(n.IDs.Own)
	asking.mu.Lock()
	if asking.byIDs[n.IDs.Own] == n.ExchangeKey {
		delete(asking.byIDs, n.IDs.Own)
	}
	asking.mu.Unlock()
}
