package conversation

// setDeadline keeps the shard's list of conversations that wait up to date.
func (c *Conversation) setDeadline() {
	var deadline uint64
	if c.waiter != nil {
		deadline = c.waiter.Deadline()
	}
	switch {
	case c.deadline == 0 && deadline != 0:
		c.shard.waiting.Append(&c.byDeadline, c)
	case c.deadline != 0 && deadline == 0:
		c.shard.waiting.Remove(&c.byDeadline)
	}
	c.deadline = deadline
}

// expireEvery is how often deadlines are checked. Those of requests that were lost are seconds away.
const expireEvery = 100e6

// Tick passes time (CLOCK_MONOTONIC, ns) on to the conversations that wait for it.
func (s *Shard) Tick(now uint64) {
	s.stats.Held.Store(int64(s.memory.total))
	if now < s.expired+expireEvery {
		return
	}
	s.expired, s.now = now, now
	for c := s.waiting.First(); c != nil; {
		next := c.byDeadline.Next()
		if c.deadline <= now {
			c.waiter.Expire(now)
			c.settle()
		}
		c = next
	}
	s.relieve() // not before: it may change the list
}
