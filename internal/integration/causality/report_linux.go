package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// report prints rows as they come, and sums them up.
type report struct {
	out      io.Writer
	begun    bool
	results  []*result
	problems []error
}

func newReport(out io.Writer) *report { return &report{out: out} }

const head = "| runtime | concurrency | connections to the backend | how many | calls of a request | requests | calls | CLIENT spans | parents asserted | right " +
	"| precision | recall | evidence (right/asserted) | whole traces | missing: SERVER, CLIENT, backend | remarks |\n" +
	"|---|---:|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---|---:|---|---|\n"

func (r *report) row(format string, arguments ...any) {
	if !r.begun {
		r.begun = true
		_, _ = io.WriteString(r.out, head)
	}
	_, _ = fmt.Fprintf(r.out, format, arguments...)
}

// absent notes a runtime that this machine does not have.
func (r *report) absent(of *runtime, why string) {
	r.row("| %s | absent | | | | | | | | | | | | | | %s |\n", of.name, why)
}

// failed notes a runtime that could not be measured.
func (r *report) failed(of *runtime, err error) {
	r.row("| %s | failed | | | | | | | | | | | | | | |\n", of.name)
	r.problems = append(r.problems, fmt.Errorf("%s: %w", of.name, err))
}

// add prints a cell.
func (r *report) add(x *result) {
	c := x.cell
	if err := x.faults(); err != nil {
		r.problems = append(r.problems, fmt.Errorf("%v: %w", c, err))
	}
	if x.score == nil {
		r.row("| %s | %d | %s | | %s | failed | | | | | | | | | | |\n", c.runtime.name, c.concurrency, c.style, c.pattern)
		return
	}
	r.results = append(r.results, x)
	r.row("| %s | %d | %s | %d | %s | %d | %d | %d | %d | %d | %s | %s | %s | %d | %s | %s |\n", c.runtime.name, c.concurrency, c.style,
		x.connections, c.pattern, x.requests, x.calls, x.found, x.asserted, x.right, x.precisionText(), x.recallText(), x.evidenceText(), x.whole, x.missingText(), x.remarks())
}

func (s *score) precisionText() string {
	if s.asserted == 0 {
		return "-"
	}
	return percent(s.precision())
}

// recallText is empty of a runtime in which no parent can be right.
func (x *result) recallText() string {
	if x.cell.runtime.unseen != "" {
		return "-"
	}
	return percent(x.recall())
}

// percent does not round up to 100.
func percent(part float64) string {
	text := fmt.Sprintf("%.1f %%", 100*part)
	if text == "100.0 %" && part < 1 {
		return "99.9 %"
	}
	return text
}

// evidenceText is what has decided, and how many calls have no parent.
func (s *score) evidenceText() string {
	var parts []string
	for _, source := range slices.Sorted(maps.Keys(s.evidence)) {
		e := s.evidence[source]
		parts = append(parts, fmt.Sprintf("%s %d/%d", source, e.right, e.asserted))
	}
	if none := s.none(); none > 0 {
		text := fmt.Sprintf("none %d", none)
		if s.linked > 0 {
			text += fmt.Sprintf(" (linked %d)", s.linked)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func (x *result) missingText() string {
	if x.missing() == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, %d, %d", x.requests-x.servers, x.calls-x.found, x.calls-x.answers)
}

func (x *result) remarks() string {
	var parts []string
	if x.cell.runtime.unseen != "" {
		parts = append(parts, x.cell.runtime.unseen)
	}
	if x.extra > 0 {
		parts = append(parts, fmt.Sprintf("%d spans too many", x.extra))
	}
	if x.unjudged > 0 {
		parts = append(parts, fmt.Sprintf("%d parents of requests without a SERVER span", x.unjudged))
	}
	if apart := min(x.found, x.answers) - x.joined; apart > 0 {
		parts = append(parts, fmt.Sprintf("%d spans of the backend are not the children of their calls", apart))
	}
	if x.answered < x.requests {
		parts = append(parts, fmt.Sprintf("%d requests not answered", x.requests-x.answered))
	}
	parts = append(parts, x.missedAims()...)
	for _, series := range slices.Sorted(maps.Keys(x.losses)) {
		name := strings.NewReplacer(`,receiver="socketflow"`, "", `receiver="socketflow",`, "", `receiver="socketflow"`, "", "{}", "", "|", "").Replace(series)
		parts = append(parts, fmt.Sprintf("counted: %s %.0f", name, x.losses[series]))
	}
	return strings.Join(parts, ", ")
}

// recallMissed is that too few calls have a parent.
const recallMissed = "recall below the aim"

// leastPrecision is what is aimed at in every cell.
const leastPrecision = 0.99

// missedAims names the aims that a cell misses.
func (x *result) missedAims() (missed []string) {
	if x.asserted > 0 && x.precision() < leastPrecision {
		missed = append(missed, "precision below the aim")
	}
	if x.recallIsShort() {
		missed = append(missed, recallMissed)
	}
	return missed
}

// recallIsShort reports whether the recall misses its aim. There is none for calls that nobody waits for.
func (x *result) recallIsShort() bool {
	return x.cell.pattern != background && x.cell.runtime.least.missed(x.cell.concurrency, x.recall())
}

// misses is an error if a cell misses an aim.
func (r *report) misses() (err error) {
	for _, x := range r.results {
		for _, missed := range x.missedAims() {
			err = errors.Join(err, fmt.Errorf("%s: %s", x.cell, missed))
		}
	}
	return err
}

// failure joins all that makes the run fail.
func (r *report) failure() error { return errors.Join(r.problems...) }
