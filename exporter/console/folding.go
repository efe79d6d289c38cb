package console

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// maxDepth is how far below its root a line may be. What is deeper is a root of its own.
const maxDepth = 8

// waiting holds lines until their window is over: until then the other end of an exchange may come, and what ended before it. Its owner locks it.
type waiting struct {
	window int64 // ns
	most   int

	queue       queue
	spans       map[spanKey]*line   // by the spans that a line is made of
	children    map[spanKey][]*line // by the parent
	connections map[uint64]*line    // by line.conversation
}

func newWaiting(window time.Duration, most int) *waiting {
	return &waiting{
		window:      int64(window),
		most:        most,
		spans:       map[spanKey]*line{},
		children:    map[spanKey][]*line{},
		connections: map[uint64]*line{},
	}
}

// otherEnd returns the waiting line that a span is the other end of: a side that serves is the child of the one that asks.
func (w *waiting) otherEnd(l *line) *line {
	switch {
	case l.kind == connection:
		if c := w.connections[l.conversation]; c != nil && c.sameConnection(l) {
			return c
		}
	case l.kind != request || l.asks.seen == l.serves.seen || l.asks.inside:
	case l.serves.seen:
		if p := w.spans[l.serves.parent]; p != nil && p.kind == request && p.asks.span == l.serves.parent && !p.asks.inside && !p.serves.seen {
			return p
		}
	default:
		for _, c := range w.children[l.asks.span] {
			if c.kind == request && c.serves.seen && !c.asks.seen {
				return c
			}
		}
	}
	return nil
}

// fold puts what an end has reported into the line of the other end.
func (w *waiting) fold(into, other *line) {
	w.unlink(into)
	into.merge(other)
	w.link(into)
}

// full reports whether there is no room for another line.
func (w *waiting) full() bool { return len(w.queue) >= w.most }

// add has a line wait. The end of its window counts from when it ended, but what comes late waits for its other end, too, and what is of the future
// (of a host whose clock is ahead) does not wait longer than others.
func (w *waiting) add(l *line, now int64) {
	l.due = min(max(l.at+w.window, now+w.window/2), now+w.window)
	l.last = now + 2*w.window
	l.waits = true
	w.link(l)
	heap.Push(&w.queue, l)
}

func (w *waiting) link(l *line) {
	for _, e := range []*end{&l.asks, &l.serves} {
		if e.seen && e.span.known() && w.spans[e.span] == nil {
			w.spans[e.span] = l
		}
	}
	if p := l.parent(); p.known() {
		l.sibling = len(w.children[p])
		w.children[p] = append(w.children[p], l)
	}
	if l.conversation != 0 && w.connections[l.conversation] == nil {
		w.connections[l.conversation] = l
	}
}

func (w *waiting) unlink(l *line) {
	for _, e := range []*end{&l.asks, &l.serves} {
		if w.spans[e.span] == l {
			delete(w.spans, e.span)
		}
	}
	if p := l.parent(); p.known() {
		w.unlinkChild(p, l)
	}
	if w.connections[l.conversation] == l {
		delete(w.connections, l.conversation)
	}
}

// unlinkChild takes a line from the children of its parent. The last one takes its place: a parent may have thousands.
func (w *waiting) unlinkChild(parent spanKey, l *line) {
	children := w.children[parent]
	if l.sibling >= len(children) || children[l.sibling] != l {
		return // it is linked no more
	}
	last := children[len(children)-1]
	children[l.sibling], last.sibling = last, l.sibling
	children[len(children)-1] = nil
	if children = children[:len(children)-1]; len(children) == 0 {
		delete(w.children, parent)
		return
	}
	w.children[parent] = children
}

// remove takes a line out.
func (w *waiting) remove(l *line) {
	w.unlink(l)
	l.waits = false
	if l.index >= 0 {
		heap.Remove(&w.queue, l.index)
	}
}

// release returns the lines that are due, in order of time, each followed by its children in the order in which they began. If all is set,
// everything is due.
func (w *waiting) release(now int64, all bool) (out []*line) {
	var due []*line
	for len(w.queue) > 0 && (all || w.queue[0].due <= now) {
		l := heap.Pop(&w.queue).(*line)
		if p := w.parentOf(l); p != nil && p.index >= 0 && !all {
			// The parent ends later, and takes its children with it. Spans that are each other's parents do not wait for ever.
			if later := min(p.due, l.last); later > now {
				l.due = later
				heap.Push(&w.queue, l)
				continue
			}
		}
		due = append(due, l)
	}
	roots := make([]*line, len(due))
	for i, l := range due {
		roots[i] = w.root(l)
	}
	byTime := func(a, b *line) int { return cmp.Compare(a.at, b.at) }
	slices.SortStableFunc(roots, byTime)
	slices.SortStableFunc(due, byTime)
	for _, l := range append(roots, due...) { // those that are too deep below their root come last
		if l.waits {
			out = w.take(out, l, 0)
		}
	}
	return out
}

// parentOf returns the line that a line is a child of, if it waits, too.
func (w *waiting) parentOf(l *line) *line {
	p := l.parent()
	if !p.known() {
		return nil
	}
	if found := w.spans[p]; found != l {
		return found
	}
	return nil
}

// root returns the line that a due one is printed below.
func (w *waiting) root(l *line) *line {
	for range maxDepth {
		p := w.parentOf(l)
		if p == nil || p.index >= 0 {
			break // there is none, or it is not due
		}
		l = p
	}
	return l
}

// take appends a line and what is below it.
func (w *waiting) take(out []*line, l *line, depth int) []*line {
	children := w.childrenOf(l)
	w.remove(l)
	l.depth = depth
	out = append(out, l)
	if depth == maxDepth {
		return out
	}
	for _, c := range children {
		if c.waits {
			out = w.take(out, c, depth+1)
		}
	}
	return out
}

func (w *waiting) childrenOf(l *line) []*line {
	var found []*line
	for _, e := range []*end{&l.asks, &l.serves} {
		if !e.seen || !e.span.known() {
			continue
		}
		for _, c := range w.children[e.span] {
			if c != l {
				found = append(found, c)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *line) int { return cmp.Or(cmp.Compare(a.began(), b.began()), cmp.Compare(a.at, b.at)) })
	return found
}

// queue is a heap of lines, the one that is due first on top.
type queue []*line

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is part of heap.Interface.
func (q *queue) Push(x any) {
	l := x.(*line)
	l.index = len(*q)
	*q = append(*q, l)
}

// Pop is part of heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	l := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	l.index = -1
	return l
}
