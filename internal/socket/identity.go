package socket

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// connectionID makes the ID of the connection that an event is about, which has to come out the same for the open, the close,
// and a table that finds the connection already open. One socket can connect more than once.
func (t *Table) connectionID(e *event.Event) uint64 {
	f := &e.Flow
	switch {
	case f.Transport == event.UnixStream && t.opts.KernelCookies:
		return splitmix.Mix(f.Cookie) // it connects once
	case f.Initial != [event.Directions]uint32{}:
		initial := uint64(f.Initial[event.Sent])<<32 | uint64(f.Initial[event.Received])
		return splitmix.Mix(f.Cookie ^ splitmix.Mix(initial)) // a bijection of each
	case e.Started != 0:
		return attemptID(f.Cookie, e.Started)
	default:
		return attemptID(f.Cookie, e.Time)
	}
}

// attemptID makes the ID of what a socket began at a time (CLOCK_MONOTONIC, ns): of an attempt to connect, or of a connection that
// shows nothing better.
func attemptID(cookie, started uint64) uint64 {
	return splitmix.Mix(cookie ^ splitmix.Mix(started)) // a bijection of each
}
