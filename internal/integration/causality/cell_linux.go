package main

import (
	"fmt"
	"slices"
	"strings"
)

// pattern is how a service makes its calls for one request.
type pattern string

const (
	one        pattern = "one"
	delayed    pattern = "delayed"    // one, which a timer makes, 1 to 5 ms after the request has come: others have come meanwhile
	sequential pattern = "sequential" // three, one after the other
	parallel   pattern = "parallel"   // three at a time
	background pattern = "background" // one, and two for which it does not wait: of a task that it starts, and of one that all requests share
)

// calls is how many calls a request causes.
func (p pattern) calls() int {
	if p == one || p == delayed {
		return 1
	}
	return 3
}

// style is what becomes of a service's connections to the backend.
type style string

const (
	pooled style = "pooled" // they stay open, and are used again
	fresh  style = "new"    // each call has one of its own
)

// cell is one measurement.
type cell struct {
	runtime     *runtime
	concurrency int // connections to the service, each of which has one request at a time
	style       style
	pattern     pattern
}

// requests is how many requests a cell has.
func (c *cell) requests() int { return max(200, 4*c.concurrency) }

func (c *cell) String() string {
	return fmt.Sprintf("%s, concurrency %d, %s connections, %s", c.runtime.name, c.concurrency, c.style, c.pattern)
}

// matrix is what the command line asks for.
type matrix struct {
	runtimes    []*runtime
	concurrency []int
	styles      []style
	patterns    []pattern
}

// cells are those of a runtime.
func (m *matrix) cells(r *runtime) (all []*cell) {
	for _, p := range r.patterns {
		if !slices.Contains(m.patterns, p) {
			continue
		}
		for _, s := range m.styles {
			for _, n := range m.concurrency {
				all = append(all, &cell{runtime: r, concurrency: n, style: s, pattern: p})
			}
		}
	}
	return all
}

// choose are the runtimes whose names contain one of the words, without regard to case; no words: all.
func choose(all []*runtime, words string) (chosen []*runtime, err error) {
	wanted := strings.Split(strings.ToLower(words), ",")
	used := map[string]bool{}
	for _, r := range all {
		matches := false
		for _, word := range wanted {
			if strings.Contains(strings.ToLower(r.name), word) {
				matches, used[word] = true, true
			}
		}
		if matches {
			chosen = append(chosen, r)
		}
	}
	for _, word := range wanted {
		if !used[word] {
			return nil, fmt.Errorf("no runtime is called %q", word)
		}
	}
	return chosen, nil
}

// chooseNames are the values that a list on the command line names.
func chooseNames[T ~string](what, words string, known ...T) (chosen []T, err error) {
	for word := range strings.SplitSeq(words, ",") {
		if !slices.Contains(known, T(word)) {
			return nil, fmt.Errorf("%s: %q is none of %q", what, word, known)
		}
		chosen = append(chosen, T(word))
	}
	return chosen, nil
}
