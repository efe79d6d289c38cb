package otlp

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Whether sampling keeps the span of an exchange is known when the batch is taken, because its trace is. Until then the span is a draft, outside of the
// batch. One that is left out is reused: another span with the same attributes overwrites their values, which allocates nothing, where pdata allocates
// each value of a new one. No pipeline has seen it.

// maxDrafts is how many spans a Builder keeps for reuse, as many as are in a batch of the default size. Each takes 2 KiB or so.
const maxDrafts = 1024

// draft returns a span for an exchange, and whether it has the attributes of its layout.
func (s *attrLayouts) draft(layout *attrLayout) (span ptrace.Span, filled bool) {
	if last := len(layout.drafts) - 1; last >= 0 {
		span, layout.drafts[last] = layout.drafts[last], ptrace.Span{}
		layout.drafts = layout.drafts[:last]
		s.drafts--
		return span, true
	}
	if last := len(s.blank) - 1; last >= 0 {
		span, s.blank[last] = s.blank[last], ptrace.Span{}
		s.blank = s.blank[:last]
		return span, false
	}
	return ptrace.NewSpan(), false
}

// leaveOut takes a draft back that is not emitted. One that has more than the attributes of its layout, or links, is rare, and not worth it.
func (s *attrLayouts) leaveOut(span ptrace.Span, layout *attrLayout) {
	if s.drafts < maxDrafts && span.Attributes().Len() == layout.keys.Len() && span.Links().Len() == 0 {
		layout.drafts = append(layout.drafts, span)
		s.drafts++
	}
}

// emit moves a draft into a batch.
func (s *attrLayouts) emit(span ptrace.Span, to ptrace.SpanSlice) ptrace.Span {
	emitted := to.AppendEmpty()
	span.MoveTo(emitted)
	if len(s.blank) < maxDrafts {
		s.blank = append(s.blank, span)
	}
	return emitted
}

// forgetExchanges drops the layouts of exchanges, and their drafts.
func (s *attrLayouts) forgetExchanges() {
	for _, layout := range s.exchanges {
		layout.drafts = nil
	}
	clear(s.exchanges)
	s.drafts = 0
}
