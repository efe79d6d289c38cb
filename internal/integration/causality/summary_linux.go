package main

import (
	"fmt"
	"maps"
	"slices"
)

// summary prints what each kind of evidence is worth in each runtime, and which cells miss their aim.
func (r *report) summary() {
	head := "\n| runtime | evidence | parents asserted | right | precision |\n|---|---|---:|---:|---:|\n"
	for _, name := range r.names() {
		sums := r.evidence(name)
		for _, source := range slices.Sorted(maps.Keys(sums)) {
			e := sums[source]
			_, _ = fmt.Fprintf(r.out, head+"| %s | %s | %d | %d | %s |\n", name, source, e.asserted, e.right, percent(ratio(e.right, e.asserted)))
			head = ""
		}
	}
	r.links()
	asserting, precise, recalled := 0, 0, 0
	for _, x := range r.results {
		if x.asserted > 0 {
			asserting++
			if x.precision() >= leastPrecision {
				precise++
			}
		}
		if !x.recallIsShort() {
			recalled++
		}
	}
	_, _ = fmt.Fprintf(r.out, "\nPrecision is at least %s in %d of %d cells that assert a parent; recall reaches its aim in %d of %d cells.\n",
		percent(leastPrecision), precise, asserting, recalled, len(r.results))
}

// links prints how often calls without a parent link to the right request.
func (r *report) links() {
	head := "\n| runtime | concurrency | calls without a parent | that link to the right request | |\n|---|---:|---:|---:|---:|\n"
	for _, name := range r.names() {
		for _, n := range r.concurrencies() {
			none, linked := 0, 0
			for _, x := range r.results {
				if x.cell.runtime.name == name && x.cell.concurrency == n {
					none, linked = none+x.none(), linked+x.linked
				}
			}
			if none > 0 {
				_, _ = fmt.Fprintf(r.out, head+"| %s | %d | %d | %d | %s |\n", name, n, none, linked, percent(ratio(linked, none)))
				head = ""
			}
		}
	}
}

// concurrencies are those that were measured, in order.
func (r *report) concurrencies() (all []int) {
	for _, x := range r.results {
		if n := x.cell.concurrency; !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// names are those of the runtimes that were measured, in order.
func (r *report) names() (all []string) {
	for _, x := range r.results {
		if name := x.cell.runtime.name; !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// evidence adds up a runtime's cells.
func (r *report) evidence(name string) map[string]tally {
	sums := map[string]tally{}
	for _, x := range r.results {
		if x.cell.runtime.name != name {
			continue
		}
		for source, e := range x.evidence {
			sum := sums[source]
			sum.asserted += e.asserted
			sum.right += e.right
			sums[source] = sum
		}
	}
	return sums
}
