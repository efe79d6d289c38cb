package otlp

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/trace"
)

// sampler decides which spans a batch keeps.
type sampler struct {
	policy sampling.Policy
	state  sampling.State // of spans that are chosen by their trace id
	text   string         // the tracestate of most of them
	limit  atomic.Uint64  // the policy's, set by another goroutine
}

func (s *sampler) begin(policy sampling.Policy) {
	s.policy = policy
	s.limit.Store(uint64(policy.Limit))
	s.describe()
}

// describe sets what spans say that are chosen.
func (s *sampler) describe() {
	s.state = max(s.policy.Threshold, s.policy.Limit).State()
	s.text = s.state.In("")
}

// current is the policy as it is now.
func (s *sampler) current() *sampling.Policy {
	if limit := sampling.Threshold(s.limit.Load()); limit != s.policy.Limit {
		s.policy.Limit = limit
		s.describe()
	}
	return &s.policy
}

// Limit has the builder keep the traces above a threshold only, of those that begin here. It may be called from any goroutine.
func (b *Builder) Limit(to sampling.Threshold) { b.sampler.limit.Store(uint64(to)) }

// ofConnection decides about the span of a connection, which is a trace of its own.
func (s *sampler) ofConnection(id pcommon.TraceID, r *report) sampling.Decision {
	policy := s.current()
	decision := policy.Of(id, true, true)
	if policy.Exempts(decision, r.err.name != "", time.Duration(r.duration())) {
		return sampling.Exempt
	}
	return decision
}

// ofExchange decides about the span of an exchange, which has a place in a trace.
func (s *sampler) ofExchange(span ptrace.Span, p *trace.Parent) sampling.Decision {
	policy := s.current()
	decision := policy.Of(p.Trace, p.Flags&flagSampled != 0, !p.Wire)
	if !decision.IsOut() {
		return decision
	}
	failed, took := span.Status().Code() == ptrace.StatusCodeError, time.Duration(span.EndTimestamp()-span.StartTimestamp())
	if policy.Exempts(decision, failed, took) {
		return sampling.Exempt
	}
	return decision
}

// mark writes into a span how likely it was that its trace is kept. If a trace context of the wire says so, this is kept.
func (s *sampler) mark(span ptrace.Span, decision sampling.Decision, ofWire sampling.State) {
	state := span.TraceState()
	switch {
	case decision == sampling.Chosen && state.AsRaw() == "":
		state.FromRaw(s.text)
	case decision == sampling.Chosen:
		state.FromRaw(s.state.In(state.AsRaw()))
	case ofWire != sampling.State{} && sampling.StateOf(state.AsRaw()) == sampling.State{}:
		state.FromRaw(ofWire.In(state.AsRaw()))
	}
}

// sample decides about the span of an exchange, and marks it. It returns false for one that is left out.
func (b *Builder) sample(c *content, span ptrace.Span, p *trace.Parent) bool {
	decision := b.sampler.ofExchange(span, p)
	if decision.IsOut() {
		b.leftOut[decision].Add(1)
		return false
	}
	b.inheritState(c, span, p)
	b.sampler.mark(span, decision, p.State)
	return true
}

// inheritState gives a span without a tracestate that of its trace, as far as the batch has room.
func (b *Builder) inheritState(c *content, span ptrace.Span, p *trace.Parent) {
	if !p.Wire || p.Source == trace.SourceWire || b.options.Tracestate == nil || span.TraceState().AsRaw() != "" {
		return
	}
	if state := soundState(b.options.Tracestate(p)); state != "" && len(state) <= c.room {
		c.room -= len(state)
		span.TraceState().FromRaw(state)
	}
}

// placeOf is what a span itself says of its place.
func placeOf(span ptrace.Span) trace.Parent {
	return trace.Parent{Trace: span.TraceID(), Flags: uint8(span.Flags()), Wire: !span.ParentSpanID().IsEmpty()}
}

// removeEmpty removes the resources of a batch all of whose spans are left out.
func removeEmpty(from ptrace.Traces) {
	from.ResourceSpans().RemoveIf(func(r ptrace.ResourceSpans) bool { return r.ScopeSpans().At(0).Spans().Len() == 0 })
}

// LeftOut is how many spans sampling has left out for a reason since NewBuilder. It may be called from any goroutine.
func (b *Builder) LeftOut(reason sampling.Decision) uint64 { return b.leftOut[reason].Load() }
