package protocoltest

import "github.com/socketflow/socketflow/internal/protocol"

// Discard is a Sink that does nothing. A test embeds it in one of its own.
type Discard struct{ last protocol.ID }

var _ protocol.Sink = (*Discard)(nil)

// Begin implements protocol.Sink.
func (d *Discard) Begin(*protocol.Request) protocol.ID { d.last++; return d.last }

// Continue implements protocol.Sink.
func (d *Discard) Continue(protocol.ID, *protocol.Carried) {}

// Requested implements protocol.Sink.
func (d *Discard) Requested(protocol.ID, *protocol.Stamp) {}

// End implements protocol.Sink.
func (d *Discard) End(protocol.ID, *protocol.Exchange) {}

// Forget implements protocol.Sink.
func (d *Discard) Forget(protocol.ID) {}

// Single implements protocol.Sink.
func (d *Discard) Single(*protocol.Exchange) {}

// Error implements protocol.Sink.
func (d *Discard) Error(protocol.ParseError) {}

// Resolved implements protocol.Sink.
func (d *Discard) Resolved(*protocol.Resolution) {}

// Secured implements protocol.Sink.
func (d *Discard) Secured(*protocol.TLS) {}

// Ignore implements protocol.Sink.
func (d *Discard) Ignore() {}

// Switch implements protocol.Sink.
func (d *Discard) Switch(protocol.Switch) {}

// Reject implements protocol.Sink.
func (d *Discard) Reject() {}

// Return implements protocol.Sink.
func (d *Discard) Return(*protocol.Chunk) {}

// ReturnGap implements protocol.Sink.
func (d *Discard) ReturnGap(protocol.Direction, uint64, protocol.Stamp, protocol.Loss) {}
