package kernel

import "github.com/socketflow/socketflow/internal/event"

// Looked says of which connections it is known whether they exist, once all events have been read that a call of Live had written: those
// of which there was none have ended.
type Looked struct {
	Everywhere [event.Transports]bool // those of a transport, in whatever network namespace
	Within     [event.Transports]bool // those of a transport, in Namespaces
	Namespaces map[uint32]bool        // by inode
}

// Covers says whether that is known of a connection.
func (l *Looked) Covers(transport event.Transport, netns uint32) bool {
	return l.Everywhere[transport] || l.Within[transport] && l.Namespaces[netns]
}

// Nothing says whether it is known of none.
func (l *Looked) Nothing() bool {
	none := [event.Transports]bool{}
	return l.Everywhere == none && l.Within == none
}
