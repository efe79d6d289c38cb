package kernel

import "github.com/socketflow/socketflow/internal/event"

// Coverage is what a call of Live has looked at. Once all events of that call have been read, a connection that it covers and that had no
// event has ended.
type Coverage struct {
	Everywhere [event.Transports]bool // those of a transport, in whatever network namespace
	Within     [event.Transports]bool // those of a transport, in the network namespaces of Walked, and in those not of Inhabited
	Walked     map[uint32]bool        // network namespaces whose sockets were looked at, by inode
	Inhabited  map[uint32]bool        // network namespaces of processes and of sockets that a descriptor leads to: there is hardly a socket in another; nil: not known
}

// Covers reports whether the call looked at a connection of this transport and network namespace.
func (c *Coverage) Covers(transport event.Transport, netns uint32) bool {
	return c.Everywhere[transport] || c.Within[transport] && (c.Walked[netns] || c.Inhabited != nil && !c.Inhabited[netns])
}

// Empty reports whether no connection is covered.
func (c *Coverage) Empty() bool {
	none := [event.Transports]bool{}
	return c.Everywhere == none && c.Within == none
}
