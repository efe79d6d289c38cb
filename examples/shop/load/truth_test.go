package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// order are the spans of an order as they should be.
func order(number int) []span {
	targets := []string{
		"http://127.0.0.1:7080/buy/%d", "/buy/%d", "http://storefront/buy/%d", "/buy/%d", "http://127.0.0.1:7082/orders/%d", "/orders/%d",
		"http://127.0.0.1:7083/stock/%d", "/stock/%d", "GET stock:%d", "GET stock:%d", "SET stock:%d ? EX ?", "SET stock:%d ? EX ?",
	}
	spans := make([]span, len(chain))
	for at, h := range chain {
		spans[at] = span{
			id: fmt.Sprintf("%d-%d", number, at), trace: fmt.Sprint(number), service: h.service, kind: h.kind, operation: h.operation,
			target: fmt.Sprintf(targets[at], number),
		}
		if h.parent >= 0 {
			spans[at].parent = spans[h.parent].id
		}
	}
	return spans
}

func TestOrdersAreJudged(t *testing.T) {
	const of, orders = 1, 6 // index in chain; spans
	for _, tt := range []struct {
		name                           string
		change                         func(first, second []span) []span
		whole, missing, orphans, wrong int
	}{
		{"all is right", func(first, second []span) []span { return append(first, second...) }, 2, 0, 0, 0},
		{"a span is not there", func(first, second []span) []span { return append(first[:len(first)-1], second...) }, 1, 1, 0, 0},
		{"a span with a child is not there", func(first, second []span) []span {
			return append(append(first[:orders], first[orders+1:]...), second...)
		}, 1, 1, 0, 0},
		{"an order is not there", func(first, _ []span) []span { return first }, 1, len(chain), 0, 0},
		{"a span has no parent", func(first, second []span) []span {
			first[orders].parent = ""
			return append(first, second...)
		}, 1, 0, 1, 0},
		{"the parent is another order's", func(first, second []span) []span {
			first[orders].parent = second[orders-1].id
			return append(first, second...)
		}, 1, 0, 0, 1},
		{"the parent is another span of the order", func(first, second []span) []span {
			first[orders].parent = first[of].id
			return append(first, second...)
		}, 1, 0, 0, 1},
		{"the root has a parent", func(first, second []span) []span {
			first[0].parent = second[0].id
			return append(first, second...)
		}, 1, 0, 0, 1},
		{"the trace is another one", func(first, second []span) []span {
			first[orders].trace = "another"
			return append(first, second...)
		}, 1, 0, 0, 0},
		{"another order's span, and what is none", func(first, second []span) []span {
			return append(append(first, second...), append(order(3), span{service: "stock", kind: "client", operation: "tcp.connection"})...)
		}, 2, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(tt.change(order(1), order(2)), 2)
			assert.Equal(t, tt.whole, r.whole, "whole")
			assert.Equal(t, tt.missing, total(r.missing), "missing")
			assert.Equal(t, tt.orphans, total(r.orphans), "without a parent")
			assert.Len(t, r.wrong, tt.wrong, "wrong")
		})
	}
}

func total(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
