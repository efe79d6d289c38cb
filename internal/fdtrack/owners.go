package fdtrack

import (
	"fmt"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/process"
)

// owner is a process as the rest of the pipeline knows it.
type owner struct {
	id    process.ID
	netns uint32 // 0: not known
	tries uint8  // to find it out since
}

// maxTries bounds how often a network namespace that could not be read is read again. Reading can fail for a moment though the process
// lives on.
const maxTries = 8

// owners translates the kernel side's names of processes. Such a name is the pid and, in place of the start time, an incarnation: the
// time when the process was first seen, in the unit of the start time. A process that began later has only the pid in common.
type owners struct {
	resolver Resolver
	starts   *starts
	cache    *simplelru.LRU[process.ID, owner]
	last     process.ID // most events come from whom the one before came from
	lastOf   owner
}

func (o *owners) init(capacity int, resolver Resolver, starts *starts) (err error) {
	o.resolver, o.starts = resolver, starts
	if o.cache, err = simplelru.NewLRU[process.ID, owner](capacity, nil); err != nil {
		return fmt.Errorf("fdtrack: %d processes: %w", capacity, err)
	}
	return nil
}

// of returns the owner with a name. A process that has ended before any tracker read /proc keeps the incarnation as its start.
func (o *owners) of(name process.ID) owner {
	if name == o.last && (o.lastOf.netns != 0 || o.lastOf.tries >= maxTries) {
		return o.lastOf
	}
	if name.Start == 0 || name.PID == 0 { // not known
		return owner{id: name}
	}
	found, ok := o.cache.Get(name)
	switch {
	case !ok:
		found = o.resolve(name)
	case found.netns == 0 && found.tries < maxTries:
		found.tries++
		if p, err := o.resolver.Process(name.PID); err == nil && p.Start == found.id.Start {
			found.netns = p.NetNS
		}
		o.cache.Add(name, found)
	}
	o.last, o.lastOf = name, found
	return found
}

// NameOf is the kernel side's name of a process that an event is about while the event is passed on; known is false for any other.
func (t *Tracker) NameOf(id process.ID) (name process.ID, known bool) {
	return t.owners.last, t.owners.lastOf.id == id && id.PID != 0
}

func (o *owners) resolve(name process.ID) owner {
	found := owner{id: name}
	if p, err := o.resolver.Process(name.PID); err == nil && p.Start <= name.Start {
		found.id.Start, found.netns = p.Start, p.NetNS
		o.starts.put(name, p.Start)
	} else if start, known := o.starts.get(name); known {
		found.id.Start = start
	}
	o.cache.Add(name, found)
	return found
}

// refresh reads /proc again for a process that has executed a program or moved. netns is its network namespace as the kernel side knows
// it; 0: not known. A process that has just ended keeps its id.
func (o *owners) refresh(name process.ID, netns uint32) owner {
	if name.Start == 0 || name.PID == 0 {
		return owner{id: name, netns: netns}
	}
	before, known := o.cache.Peek(name)
	found := o.resolve(name)
	if found.netns == 0 { // it has ended
		if known {
			found.id = before.id
		}
		found.netns = netns
		o.cache.Add(name, found)
	}
	o.last, o.lastOf = name, found
	return found
}

// ended forgets a process. A process that is not known had no events.
func (o *owners) ended(name process.ID) process.ID {
	found, ok := o.cache.Peek(name)
	if !ok {
		return name
	}
	o.cache.Remove(name)
	if o.last == name {
		o.last = process.ID{}
		o.lastOf = owner{}
	}
	return found.id
}
