// Package intrusive keeps elements in the order in which they were appended; the links are the elements' own, so that nothing is allocated.
package intrusive

// Links is what an element has for a list. It can be in one list at a time.
type Links[T any] struct {
	prev, next *Links[T]
	element    *T
}

// Next is the element behind this one; nil: it is the last.
func (l *Links[T]) Next() *T { return elementOf(l.next) }

// Prev is the element before this one; nil: it is the first.
func (l *Links[T]) Prev() *T { return elementOf(l.prev) }

func elementOf[T any](l *Links[T]) *T {
	if l == nil {
		return nil
	}
	return l.element
}

// List is a list; the zero value is empty.
type List[T any] struct{ first, last *Links[T] }

// First is the element that has been in the list for the longest; nil: it is empty.
func (l *List[T]) First() *T { return elementOf(l.first) }

// Last is the element that was appended last; nil: the list is empty.
func (l *List[T]) Last() *T { return elementOf(l.last) }

// Append puts an element, which is in no list, behind all others. The links are its own.
func (l *List[T]) Append(links *Links[T], element *T) {
	links.prev, links.next, links.element = l.last, nil, element
	if l.last == nil {
		l.first = links
	} else {
		l.last.next = links
	}
	l.last = links
}

// Remove takes the element with these links, which say nothing any more then, out of the list, which it has to be in.
func (l *List[T]) Remove(links *Links[T]) {
	if links.prev == nil {
		l.first = links.next
	} else {
		links.prev.next = links.next
	}
	if links.next == nil {
		l.last = links.prev
	} else {
		links.next.prev = links.prev
	}
}

// Free are elements to be used again, the last first; the zero value is empty.
type Free[T any] struct{ top *Links[T] }

// Put keeps an element, which is in no list. The links are its own.
func (f *Free[T]) Put(links *Links[T], element *T) {
	links.next, links.element = f.top, element
	f.top = links
}

// Take returns an element that was put; nil: there is none.
func (f *Free[T]) Take() *T {
	links := f.top
	if links == nil {
		return nil
	}
	f.top = links.next
	return links.element
}
