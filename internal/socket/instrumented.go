package socket

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// databaseKey is an attribute of the exchanges of databases, and of no others.
const databaseKey = "db.system.name"

// databases says which protocols are those of databases, if that is of interest.
func databases(opts *Options) (of []bool) {
	if opts.Instrumented == nil {
		return nil
	}
	for _, p := range opts.Conversations.Protocols {
		of = append(of, p.Settings.Keys.Has(databaseKey))
	}
	return of
}

// processOf is who made a call on a connection.
func (c *connection) processOf(call *protocol.Stamp) process.ID {
	if call.PID == 0 {
		return c.owner.ID
	}
	return process.ID{PID: call.PID, Start: call.Start}
}

// noteExport notes that a process exports spans itself, if an exchange shows that: one that was answered, or its spans would be nowhere.
func (l *layer) noteExport(x *protocol.Exchange) {
	c := l.connection
	if of := c.table.opts.Instrumented; of != nil && x.CarriesSpans && x.Error == "" && x.Errno == 0 && x.ResponseStart.Time != 0 &&
		l.conv.Role() == event.RoleClient {
		of.Add(c.processOf(&x.Start))
	}
}

// spans says whether a span is emitted of an exchange that begins. A process that exports spans makes one of each request that it serves, and of those
// that it sends to others if they carry a trace context, which it has written; requests to databases carry none. It makes none of queries to DNS.
func (l *layer) spans(call *protocol.Stamp, asks bool, inProtocol event.Role) trace.Spans {
	c := l.connection
	t := c.table
	if t.opts.Instrumented == nil || inProtocol == event.RoleUnknown || !t.opts.Instrumented.Has(c.processOf(call)) {
		return trace.SpanAlways
	}
	switch of, _ := l.conv.Protocol(); {
	case t.opts.Conversations.Protocols[of].Resolves:
		return trace.SpanAlways
	case asks && !t.databases[of]:
		return trace.SpanUnlessNamed
	default:
		return trace.SpanNever
	}
}

// listens reports whether the bytes of a connection that is ignored are read nevertheless: the other end is the collector's own, and to whom but
// to it would a program export spans.
func (c *connection) listens() bool {
	of := c.table.opts.Instrumented
	return of != nil && c.own && c.flow.Role == event.RoleClient && !of.Has(c.owner.ID)
}
