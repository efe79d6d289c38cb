package http

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxRoutes = 256
	maxRoute  = 512 // bytes
)

// routes are the patterns of paths that a configuration names.
type routes []route

// route is one pattern. A segment in braces stands for any one that is not empty, a last one such as {rest...} for any rest.
type route struct {
	pattern  []byte
	segments [][]byte // literal; nil: any
	rest     bool     // more may follow
	names    map[string]string
}

func newRoutes(config *Config) (all routes) {
	methods := config.KnownMethods
	if methods == nil {
		methods = commonMethods
	}
	for _, pattern := range config.Routes {
		r := route{pattern: []byte(pattern), names: make(map[string]string)}
		for segment := range strings.SplitSeq(pattern[1:], "/") {
			switch name, isParameter := parameterOf(segment); {
			case strings.HasSuffix(name, restSuffix):
				r.rest = true
			case isParameter:
				r.segments = append(r.segments, nil)
			default:
				r.segments = append(r.segments, []byte(segment))
			}
		}
		for _, method := range methods {
			r.names[method] = method + " " + pattern
		}
		r.names[unknownMethodName] = unknownMethodName + " " + pattern
		all = append(all, r)
	}
	return all
}

const restSuffix = "..."

// parameterOf is the name of a segment in braces.
func parameterOf(segment string) (name string, isParameter bool) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// of is the first route that a path matches; nil: none.
func (all routes) of(path []byte) *route {
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	for i := range all {
		if all[i].matches(path[1:]) {
			return &all[i]
		}
	}
	return nil
}

func (r *route) matches(path []byte) bool {
	for i, literal := range r.segments {
		segment, rest, more := bytes.Cut(path, slash)
		switch {
		case literal == nil && len(segment) == 0, literal != nil && !bytes.Equal(segment, literal):
			return false
		case i == len(r.segments)-1:
			return more == r.rest
		case !more:
			return false
		}
		path = rest
	}
	return r.rest
}

// name is that of a span whose method has a name.
func (r *route) name(method string) string { return r.names[method] }

// validRoutes reports what is wrong with patterns.
func validRoutes(patterns []string) error {
	var errs []error
	if len(patterns) > maxRoutes {
		errs = append(errs, fmt.Errorf("routes: lists %d patterns; write at most %d", len(patterns), maxRoutes))
	}
	for i, pattern := range patterns {
		switch {
		case !strings.HasPrefix(pattern, "/") || len(pattern) > maxRoute || strings.ContainsAny(pattern, "?#*"):
			errs = append(errs, fmt.Errorf("routes: %q is no pattern of a path; write one of at most %d bytes such as /items/{id} or /static/{rest...}", pattern, maxRoute))
		case !endsWithRest(pattern):
			errs = append(errs, fmt.Errorf("routes: %q goes on behind {…%s; write that last", pattern, restSuffix))
		case slices.Index(patterns, pattern) < i:
			errs = append(errs, fmt.Errorf("routes: %q is listed twice; write it once", pattern))
		}
	}
	return errors.Join(errs...)
}

// endsWithRest reports whether nothing follows what stands for any rest.
func endsWithRest(pattern string) bool {
	segments := strings.Split(pattern, "/")
	for i, segment := range segments {
		if name, isParameter := parameterOf(segment); isParameter && strings.HasSuffix(name, restSuffix) && i < len(segments)-1 {
			return false
		}
	}
	return true
}
