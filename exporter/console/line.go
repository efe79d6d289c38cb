package console

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

type kind uint8

const (
	request kind = iota // a span, or the two of both ends
	connection
	record // of a log
	more   // says how many lines of a second are left out
)

// spanKey is a span of a trace. The zero key is none.
type spanKey struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

func (k spanKey) known() bool { return !k.span.IsEmpty() }

// end is what one end of an exchange or of a connection has reported.
type end struct {
	seen       bool
	inside     bool // of a span that is no end of a request
	span       spanKey
	parent     spanKey
	service    string
	port       int    // this side's
	peer       string // the other side: a service if that is known, or an address
	peerPort   int
	connection string // socketflow.connection.id
	began      int64  // ns since 1970
	ended      int64
	sent       int64 // bytes
	received   int64
}

// identify takes over the ids that another signal of the same end has.
func (e *end) identify(other *end) {
	if e.seen && !e.span.known() {
		e.span, e.parent = other.span, other.parent
	}
}

// line is an exchange, connection or record that waits to be printed. Both ends are folded into one.
type line struct {
	kind    kind
	asks    end // the side that asks, or connects
	serves  end // the other side
	what    string
	outcome string
	failed  bool
	opened  bool // a connection was; otherwise it has ended
	quiet   bool // a failed attempt, which has no duration worth reading
	count   int64
	// conversation is the same for both ends and all signals of a connection's begin, and of its end; 0 for anything else.
	conversation uint64
	at           int64 // when it ended, ns since 1970

	due, last int64 // when it is to be printed, and the latest moment for that
	index     int   // in the heap; -1 if it is not there
	sibling   int   // among the children of its parent
	waits     bool
	depth     int // below its root

	matches  bool // the conditions of include, at one end at least
	excluded bool // at either end
	paid     bool // for its place in the second
}

// parent is the span that the exchange is part of.
func (l *line) parent() spanKey {
	if l.asks.seen {
		return l.asks.parent
	}
	return l.serves.parent
}

// sameConnection reports whether another line with the same conversation is of the same connection: ports are used again.
func (l *line) sameConnection(other *line) bool {
	same := func(a, b *end) bool { return !a.seen || !b.seen || a.connection == b.connection }
	return same(&l.asks, &other.asks) && same(&l.serves, &other.serves)
}

func (l *line) began() int64 {
	if l.asks.seen {
		return l.asks.began
	}
	return l.serves.began
}

func (l *line) took() time.Duration {
	e := &l.asks
	if !e.seen {
		e = &l.serves
	}
	return time.Duration(e.ended - e.began)
}

// merge takes over what the other end, or another signal of the same end, has reported. The side that asks knows best how long it took.
func (l *line) merge(other *line) {
	l.asks.identify(&other.asks)
	l.serves.identify(&other.serves)
	if other.asks.seen && !l.asks.seen {
		l.asks = other.asks
		if other.what != "" {
			l.what = other.what
		}
		if other.outcome != "" {
			l.outcome = other.outcome
		}
	}
	if other.serves.seen && !l.serves.seen {
		l.serves = other.serves
	}
	if l.what == "" {
		l.what = other.what
	}
	if l.outcome == "" || other.failed && !l.failed {
		l.outcome = other.outcome
	}
	l.failed = l.failed || other.failed
	l.quiet = l.quiet || other.quiet
	l.matches = l.matches || other.matches
	l.excluded = l.excluded || other.excluded
	l.at = max(l.at, other.at)
}
