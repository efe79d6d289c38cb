package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/socketflow/socketflow/internal/integration/vmtest/plan"
)

// result is the result of a job.
type result struct {
	job
	seconds      float64
	err          error
	log          string
	tests        []outcome
	attachment   string         // how programs are attached to transfers, as the kernel's tests print it; empty: it was not printed
	instructions map[string]int // by program
	trouble      []string       // problems other than failed tests
	said         []string       // output of tests, if something failed
	panicked     string         // the kernel's message if it panicked
	repeats      []string       // of its tests: lines "REPEATED <test>: <why>", which .ci/run counts
	repeated     *result        // the attempt before this
}

// outcome is the outcome of a test or a subtest.
type outcome struct {
	name    string
	verdict string // PASS, FAIL, SKIP
	seconds float64
}

var (
	verdictLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)$`)
	// See TestVerifierInstructions in internal/kernel.
	instructionLine = regexp.MustCompile(`verifier (\S+) (\S+) (\d+)$`)
	attachmentLine  = regexp.MustCompile(`attachment (\S+)$`)
	// See Repeat in internal/testenv.
	repeatLine   = regexp.MustCompile(`REPEATED \S+: .*`)
	progressLine = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME) `)
	// See panic() in the kernel's kernel/panic.c.
	panicLine = regexp.MustCompile(`Kernel panic - not syncing.*`)
)

// read parses the machine's output.
func (r *result) read(log, console string) {
	r.panicked = strings.TrimSpace(panicLine.FindString(console))
	r.instructions = map[string]int{}
	ended := map[string]string{}
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		if name, found := strings.CutPrefix(line, plan.Begin); found {
			ended[name] = "it did not end"
		} else if rest, found := strings.CutPrefix(line, plan.End); found {
			if fields := strings.SplitN(rest, " ", 3); len(fields) == 3 {
				ended[fields[0]] = fields[2]
			}
		} else if verdict := verdictLine.FindStringSubmatch(line); verdict != nil {
			seconds, _ := strconv.ParseFloat(verdict[3], 64)
			r.tests = append(r.tests, outcome{verdict[2], verdict[1], seconds})
			if verdict[1] != "PASS" {
				r.said = append(r.said, line)
			}
		} else if count := instructionLine.FindStringSubmatch(line); count != nil {
			r.instructions[count[2]], _ = strconv.Atoi(count[3])
		} else if how := attachmentLine.FindStringSubmatch(line); how != nil {
			r.attachment = how[1]
		} else if repeat := repeatLine.FindString(line); repeat != "" {
			r.repeats = append(r.repeats, repeat)
		} else if !progressLine.MatchString(line) && strings.TrimSpace(line) != "" {
			r.said = append(r.said, line)
		}
	}
	r.check(ended)
}

// check finds problems that no test reports: runs that did not end well, and tests that were not run.
func (r *result) check(ended map[string]string) {
	if r.err != nil {
		r.trouble = append(r.trouble, r.err.Error())
	}
	if r.panicked != "" {
		r.trouble = append(r.trouble, r.panicked)
	}
	for _, run := range runsOf(&r.job, 0) {
		switch how := ended[run.Name]; {
		case how == "":
			r.trouble = append(r.trouble, run.Name+": the tests were not begun")
		case how != "ok":
			r.trouble = append(r.trouble, run.Name+": "+how)
		}
	}
	for _, t := range r.job.tests {
		if !slices.ContainsFunc(r.tests, func(o outcome) bool { return o.name == t.name || strings.HasPrefix(o.name, t.name+"/") }) {
			r.trouble = append(r.trouble, t.name+" was not run")
		}
	}
}

// count is how many tests without subtests have one of these verdicts.
func (r *result) count(verdicts ...string) int {
	n := 0
	for _, o := range r.tests {
		leaf := !slices.ContainsFunc(r.tests, func(other outcome) bool { return strings.HasPrefix(other.name, o.name+"/") })
		if leaf && slices.Contains(verdicts, o.verdict) {
			n++
		}
	}
	return n
}

// A skipped test is a failure: the machine is made for the tests.
func (r *result) passed() bool {
	return len(r.trouble) == 0 && !slices.ContainsFunc(r.tests, func(o outcome) bool { return o.verdict != "PASS" })
}

// why summarises what did not pass.
func (r *result) why() string {
	whys := slices.Clone(r.trouble)
	for _, o := range r.tests {
		if o.verdict != "PASS" {
			whys = append(whys, o.verdict+" "+o.name)
		}
	}
	if len(whys) == 0 {
		return "nothing is wrong"
	}
	return whys[0]
}

// shown is how many lines of a job's output are printed.
const shown = 80

// String is a summary, with details if something failed.
func (r *result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d passed, %d failed, %.0f s:", r.name(), r.count("PASS"), r.count("FAIL", "SKIP"), r.seconds)
	for _, o := range r.tests {
		if !strings.Contains(o.name, "/") {
			fmt.Fprintf(&b, " %s %.0f", o.name, o.seconds)
		}
	}
	b.WriteString("\n")
	for _, repeat := range r.repeats {
		fmt.Fprintf(&b, "    %s\n", repeat)
	}
	if r.repeated != nil {
		fmt.Fprintf(&b, "  REPEATED %s: %s; the first attempt:\n%s", r.name(), r.repeated.why(), r.repeated)
	}
	if r.passed() {
		return b.String()
	}
	if n := len(r.said) - shown; n > 0 {
		fmt.Fprintf(&b, "    (%d lines left out, see %s)\n", n, r.log)
	}
	for _, line := range r.said[max(0, len(r.said)-shown):] {
		fmt.Fprintf(&b, "    %.300s\n", line)
	}
	for _, trouble := range r.trouble {
		fmt.Fprintf(&b, "  %s: %s\n", r.name(), trouble)
	}
	return b.String()
}

// table lists which tests passed where.
func table(results []*result) string {
	rows := [][]string{{"kernel", "mode", "attachment", "passed", "failed", "seconds"}}
	for _, r := range results {
		row := []string{
			r.kernel.name(), r.mode, cmp.Or(r.attachment, "-"), strconv.Itoa(r.count("PASS")), strconv.Itoa(r.count("FAIL", "SKIP")), fmt.Sprintf("%.0f", r.seconds),
		}
		if !r.passed() {
			row = append(row, "FAILED")
		} else if r.repeated != nil {
			row = append(row, "REPEATED")
		}
		rows = append(rows, row)
	}
	return columns(rows)
}

// instructionTable lists how many instructions the kernels' verifiers processed for each program of a mode, of a limit of a
// million. It is empty if none were counted.
func instructionTable(results []*result, mode string) string {
	head := []string{mode + " mode"}
	var of []*result
	programs := map[string]bool{}
	for _, r := range results {
		if r.mode != mode || len(r.instructions) == 0 {
			continue
		}
		of, head = append(of, r), append(head, r.kernel.name())
		for program := range r.instructions {
			programs[program] = true
		}
	}
	if len(of) == 0 {
		return ""
	}
	rows := [][]string{head}
	for _, program := range slices.Sorted(maps.Keys(programs)) {
		row := []string{program}
		for _, r := range of {
			count := "-" // not needed on that kernel, or refused
			if n, found := r.instructions[program]; found {
				count = strconv.Itoa(n)
			}
			row = append(row, count)
		}
		rows = append(rows, row)
	}
	return columns(rows)
}

// columns sets rows in columns: the first to the left, the others to the right.
func columns(rows [][]string) string {
	widths := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			width := widths[i]
			if i == 0 {
				width = -width
			}
			fmt.Fprintf(&b, "%*s  ", width, cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}
