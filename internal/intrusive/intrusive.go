// Package intrusive has a doubly linked list and a free list. The links are fields of the elements, so that nothing is allocated.
package intrusive

// Links is the field of an element that links it into a list. An element can be in one list at a time.
type Links[T any] struct {
	prev, next *Links[T]
	element    *T
}

// Next is the element after this one, nil if this is the last.
func (l *Links[T]) Next() *T { return elementOf(l.next) }

// Prev is the element before this one, nil if this is the first.
func (l *Links[T]) Prev() *T { return elementOf(l.prev) }

func elementOf[T any](l *Links[T]) *T {
	if l == nil {
		return nil
	}
	return l.element
}

// List is a doubly linked list. The zero value is empty.
type List[T any] struct {
	first, last *Links[T]
	count       int
}

// Len is the number of elements.
func (l *List[T]) Len() int { return l.count }

// Has reports whether the element with these links is in this list. It is in no other.
func (l *List[T]) Has(links *Links[T]) bool { return links.prev != nil || l.first == links }

// First is the element that was appended first, nil if the list is empty.
func (l *List[T]) First() *T { return elementOf(l.first) }

// Last is the element that was appended last, nil if the list is empty.
func (l *List[T]) Last() *T { return elementOf(l.last) }

// Append adds an element at the end. The element must not be in a list; links is its field.
func (l *List[T]) Append(links *Links[T], element *T) {
	links.prev, links.next, links.element = l.last, nil, element
	if l.last == nil {
		l.first = links
	} else {
		l.last.next = links
	}
	l.last = links
	l.count++
}

// Remove removes the element with these links, which must be in the list.
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
	links.prev, links.next = nil, nil
	l.count--
}

// Free is a stack of elements for reuse. The zero value is empty.
type Free[T any] struct {
	top   *Links[T]
	count int
}

// Len is the number of elements.
func (f *Free[T]) Len() int { return f.count }

// Put adds an element. The element must not be in a list; links is its field.
func (f *Free[T]) Put(links *Links[T], element *T) {
	links.next, links.element = f.top, element
	f.top = links
	f.count++
}

// Take removes and returns the element that was put last, nil if there is none.
func (f *Free[T]) Take() *T {
	links := f.top
	if links == nil {
		return nil
	}
	f.top = links.next
	f.count--
	return links.element
}
