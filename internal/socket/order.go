package socket

// waiter is a connection that waits for its accept since time (CLOCK_MONOTONIC, ns).
type waiter struct{ cookie, time uint64 }

// queue holds waiters in the order of their arrival. Every connection is in it at most twice.
type queue struct {
	items []waiter
	head  int
}

func (q *queue) push(w waiter) {
	if q.head > len(q.items)/2 { // at most half of it is spent
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, w)
}

func (q *queue) popBefore(monotonic uint64) (waiter, bool) {
	if q.head == len(q.items) || q.items[q.head].time > monotonic {
		return waiter{}, false
	}
	q.head++
	return q.items[q.head-1], true
}

// refusals remembers the sockets whose connect failed last, for the errors that connect is about to return.
type refusals struct {
	cookies [256]uint64
	next    int
}

func (r *refusals) add(cookie uint64) {
	r.cookies[r.next] = cookie
	r.next = (r.next + 1) % len(r.cookies)
}

// take reports whether the socket's failure has been told, and forgets it.
func (r *refusals) take(cookie uint64) bool {
	for i := range r.cookies {
		if r.cookies[i] == cookie {
			r.cookies[i] = 0
			return true
		}
	}
	return false
}
