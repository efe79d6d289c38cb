package kernel

import "github.com/socketflow/socketflow/internal/event"

// Looked says of which connections it is known whether they exist, once all events have been read that a call of Live had written: those
// of which there was none have ended.
type Looked struct {
	At         [event.Transports]bool
	Everywhere bool            // in every network namespace
	Namespaces map[uint32]bool // else in these, by inode
}

// Covers says whether that is known of a connection.
func (l *Looked) Covers(transport event.Transport, netns uint32) bool {
	return l.At[transport] && (l.Everywhere || l.Namespaces[netns] || transport == event.UDP)
}

// Nothing says whether it is known of none.
func (l *Looked) Nothing() bool { return l.At == [event.Transports]bool{} }
