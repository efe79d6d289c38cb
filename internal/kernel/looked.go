package kernel

import "github.com/socketflow/socketflow/internal/event"

// Looked says of which connections it is known whether they exist, once all events have been read that a call of Live had written: those
// of which there was none have ended.
type Looked struct {
	Everywhere [event.Transports]bool // those of a transport, in whatever network namespace
	Within     [event.Transports]bool // those of a transport, in the network namespaces that Walked and Inhabited tell
	Walked     map[uint32]bool        // network namespaces whose sockets were looked at, by inode
	Inhabited  map[uint32]bool        // network namespaces that have processes: in no other is there a socket left; nil: not known
}

// Covers says whether that is known of a connection.
func (l *Looked) Covers(transport event.Transport, netns uint32) bool {
	return l.Everywhere[transport] || l.Within[transport] && (l.Walked[netns] || l.Inhabited != nil && !l.Inhabited[netns])
}

// Nothing says whether it is known of none.
func (l *Looked) Nothing() bool {
	none := [event.Transports]bool{}
	return l.Everywhere == none && l.Within == none
}
