package metrics

import (
	"bytes"
	"maps"
	"sync"
	"sync/atomic"
)

const (
	maxSegments = 8   // of a route; the rest of a path is one parameter
	maxChildren = 24  // different segments at one place; beyond it what is there is a parameter
	maxNodes    = 512 // of one resource
	longSegment = 32  // bytes of what is a parameter in any case
	longNumber  = 4   // digits in a row that no word has
)

// learnedRoutes are the paths of a server, whose segments are parameters where many have been seen, or where they look like one. Looking up takes no lock.
type learnedRoutes struct {
	mu    sync.Mutex
	nodes int
	root  atomic.Pointer[routeNode]
}

// routeNode is a place in paths. It does not change; one that is learned takes its place, and that of all above it.
type routeNode struct {
	children map[string]*routeNode
	any      *routeNode // what follows a parameter
	full     bool       // further segments are parameters
}

var parameter = []byte("{}")

func newLearnedRoutes() *learnedRoutes {
	l := new(learnedRoutes)
	l.root.Store(new(routeNode))
	return l
}

// appendRoute appends the route of a path. What is not known is learned if learn is set, else it is a parameter: what a server does not have is no route.
func (l *learnedRoutes) appendRoute(route, path []byte, learn bool) []byte {
	from := len(route)
	route, whole := l.root.Load().appendRoute(route, path)
	if whole || !learn || !l.learn(path) {
		return route
	}
	route, _ = l.root.Load().appendRoute(route[:from], path)
	return route
}

// appendRoute returns whether all of the path was known.
func (n *routeNode) appendRoute(route, path []byte) (_ []byte, whole bool) {
	whole = true
	for i := range maxSegments {
		segment, rest, more := cutSegment(path)
		if i == maxSegments-1 && more {
			return append(append(route, '/'), parameter...), whole
		}
		literal, next := n.next(segment)
		whole = whole && (next != nil || n == nil)
		route = append(route, '/')
		if literal {
			route = append(route, segment...)
		} else {
			route = append(route, parameter...)
		}
		if !more {
			break
		}
		n, path = next, rest
	}
	return route, whole
}

// next is the place behind a segment, and whether that stands for itself; nil: it is not known.
func (n *routeNode) next(segment []byte) (literal bool, next *routeNode) {
	switch {
	case len(segment) == 0: // the end of /items/
		return true, leaf
	case n == nil:
		return false, nil
	case looksLikeParameter(segment):
		return false, n.any
	}
	if next = n.children[string(segment)]; next != nil && !n.full {
		return true, next
	}
	if n.full {
		return false, n.any
	}
	return false, nil
}

var leaf = new(routeNode)

// cutSegment cuts the first segment off a path, which begins with a slash.
func cutSegment(path []byte) (segment, rest []byte, more bool) {
	if len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	i := bytes.IndexByte(path, '/')
	if i < 0 {
		return path, nil, false
	}
	return path[:i], path[i:], true
}

// looksLikeParameter reports whether a segment is an id for sure: it is long, or has a long number, or is encoded.
func looksLikeParameter(segment []byte) bool {
	if len(segment) > longSegment {
		return true
	}
	digits, row := 0, 0
	for _, c := range segment {
		switch {
		case c >= '0' && c <= '9':
			digits++
			row++
		case c == '%' || c == '@' || c == ':' || c == ',' || c == '=' || c < ' ' || c > '~':
			return true
		default:
			row = 0
		}
		if row >= longNumber {
			return true
		}
	}
	return digits == len(segment) || digits > 0 && len(segment) >= 8 && digits*3 >= len(segment)
}

// learn adds a path, and reports whether there was room.
func (l *learnedRoutes) learn(path []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nodes >= maxNodes {
		return false
	}
	l.root.Store(l.with(l.root.Load(), path, maxSegments))
	return true
}

// with is a copy of a place that knows a path.
func (l *learnedRoutes) with(n *routeNode, path []byte, depth int) *routeNode {
	made := &routeNode{}
	if n != nil {
		*made = *n
	} else {
		l.nodes++
	}
	segment, rest, more := cutSegment(path)
	if len(segment) == 0 || depth == 0 {
		return made
	}
	behind := func(n *routeNode) *routeNode {
		if !more {
			if n == nil {
				l.nodes++
				return new(routeNode)
			}
			return n
		}
		return l.with(n, rest, depth-1)
	}
	if made.full || looksLikeParameter(segment) {
		made.any = behind(made.any)
		return made
	}
	if _, known := made.children[string(segment)]; !known && len(made.children) >= maxChildren {
		made.children, made.full = nil, true
		made.any = behind(made.any)
		return made
	}
	children := maps.Clone(made.children)
	if children == nil {
		children = make(map[string]*routeNode)
	}
	children[string(segment)] = behind(children[string(segment)])
	made.children = children
	return made
}
