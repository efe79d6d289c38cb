package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hop is a span that each order has to have.
type hop struct {
	service, kind, operation string
	parent                   int // index in chain; -1: none
}

// chain is the truth: what happens for each order, in this order.
var chain = []hop{
	{"shopper", "client", "GET", -1},
	{"nginx", "server", "GET", 0},
	{"nginx", "client", "GET", 1},
	{"storefront", "server", "GET", 2},
	{"storefront", "client", "POST", 3},
	{"orders", "server", "POST", 4},
	{"orders", "client", "GET", 5},
	{"stock", "server", "GET", 6},
	{"stock", "client", "GET", 7},
	{"redis-server", "server", "GET", 8},
	{"stock", "client", "SET", 7},
	{"redis-server", "server", "SET", 10},
}

func services() (names []string) {
	for _, h := range chain {
		if !slices.Contains(names, h.service) {
			names = append(names, h.service)
		}
	}
	return names
}

// orderNumber finds the number of the order in what a request names: every request of the shop has it in its path, or in its key.
var orderNumber = regexp.MustCompile(`(?:/buy/|/orders/|/stock/|\bstock:)(\d+)`)

// place is where a span belongs: in which order, and where in its chain.
func (s *span) place() (order, at int, ok bool) {
	match := orderNumber.FindStringSubmatch(s.target)
	if match == nil {
		return 0, 0, false
	}
	order, err := strconv.Atoi(match[1])
	at = slices.IndexFunc(chain, func(h hop) bool {
		redis := strings.HasPrefix(s.target, s.operation+" ") // stock's GET may be HTTP's or Redis'
		return h.service == s.service && h.kind == s.kind && h.operation == s.operation && redis == h.isRedis()
	})
	return order, at, err == nil && at >= 0
}

// isRedis: the request is a Redis command.
func (h *hop) isRedis() bool {
	return h.service == "redis-server" || h.service == "stock" && h.kind == "client"
}

// countOrders counts the spans that belong to orders.
func countOrders(spans []span) (n int) {
	for i := range spans {
		if _, _, ok := spans[i].place(); ok {
			n++
		}
	}
	return n
}

// result compares the spans with the truth.
type result struct {
	requests int
	spans    int
	whole    int            // orders that are one trace with all spans and all parents
	missing  map[string]int // by hop, spans that are not there
	orphans  map[string]int // by hop, spans without the parent that they should have
	wrong    []string       // spans with another parent
	example  []*span        // the last whole trace, in the order of the chain
}

func judge(spans []span, requests int) *result {
	r := &result{requests: requests, missing: map[string]int{}, orphans: map[string]int{}}
	orders := make([][]*span, requests+1)
	for i := range spans {
		order, at, ok := spans[i].place()
		if !ok || order < 1 || order > requests {
			continue
		}
		if orders[order] == nil {
			orders[order] = make([]*span, len(chain))
		}
		orders[order][at] = &spans[i]
		r.spans++
	}
	for number := 1; number <= requests; number++ {
		r.judgeOrder(number, orders[number])
	}
	return r
}

func (r *result) judgeOrder(number int, order []*span) {
	whole := order != nil
	for at, h := range chain {
		if order == nil || order[at] == nil {
			r.missing[h.String()]++
			whole = false
			continue
		}
		s := order[at]
		var want string
		if h.parent >= 0 && order[h.parent] != nil {
			want = order[h.parent].id
		}
		switch {
		case s.parent == want:
		case s.parent == "":
			r.orphans[h.String()]++
			whole = false
		case want == "" && h.parent >= 0: // its parent is not there, and was counted
		default:
			r.wrong = append(r.wrong, fmt.Sprintf("order %d, %v (%s)", number, h, s.evidence))
			whole = false
		}
		whole = whole && s.trace == order[0].trace
	}
	if whole {
		r.whole++
		r.example = order
	}
}

func (h hop) String() string { return h.service + " " + h.kind + " " + h.operation }
