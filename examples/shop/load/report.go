package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// report says what was found, for people.
func (r *result) report(jaeger string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d orders, %d of %d spans: %d are one whole trace, %d spans have a wrong parent\n",
		r.requests, r.spans, r.requests*len(chain), r.whole, len(r.wrong))
	for _, kind := range []struct {
		what string
		hops map[string]int
	}{{"missing", r.missing}, {"without a parent", r.orphans}} {
		for _, hop := range slices.Sorted(maps.Keys(kind.hops)) {
			fmt.Fprintf(&b, "  %s: %s, %d times\n", kind.what, hop, kind.hops[hop])
		}
	}
	for _, wrong := range r.wrong {
		fmt.Fprintf(&b, "  wrong parent: %s\n", wrong)
	}
	if r.example != nil {
		fmt.Fprintf(&b, "\n%s/trace/%s\n", jaeger, r.example[0].trace)
		writeTree(&b, r.example, -1, "")
	}
	return b.String()
}

// writeTree writes a line for each child of a span, and its children below it.
func writeTree(b *strings.Builder, order []*span, parent int, indent string) {
	for at, h := range chain {
		if h.parent != parent {
			continue
		}
		s := order[at]
		evidence := s.evidence
		if evidence != "" {
			evidence = "  parent: " + evidence
		}
		what := indent + s.service + " " + strings.ToUpper(s.kind) + " " + s.operation
		fmt.Fprintf(b, "%-54s %7.2f ms%s\n", what, float64(s.took)/float64(time.Millisecond), evidence)
		writeTree(b, order, at, indent+"  ")
	}
}
