package preflight

import (
	"fmt"
	"io"
	"strings"
)

// width is the maximum length of a line in characters. A line with one longer word exceeds it.
const width = 110

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	p.facts("This host", r.Host)
	p.facts("These privileges", r.Privileges)
	for _, a := range r.Attempts {
		outcome := "works"
		if !a.Works {
			outcome = "does not work"
		}
		p.line("%s mode: %s", a.Mode, outcome)
		if a.Error != "" {
			p.wrapped("    ", a.Error)
		}
		p.hooks(a.Hooks)
		for _, lack := range a.Degraded {
			p.wrapped("    less is seen: ", lack)
		}
		p.line("")
	}
	p.processes(r.Processes)
	if len(r.Advice) > 0 {
		p.line("What to change")
		for _, advice := range r.Advice {
			p.wrapped("  - ", advice)
		}
		p.line("")
	}
	if r.Starts {
		p.line("The receiver would start: mode %s is %s.", r.Asked, r.Chosen)
	} else {
		p.line("The receiver would not start with mode %s.", r.Asked)
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) facts(title string, facts []Fact) {
	p.line("%s", title)
	for _, f := range facts {
		p.fact(f)
	}
	p.line("")
}

func (p *printer) fact(f Fact) {
	text := f.Found
	if f.Lost != "" {
		text = strings.TrimPrefix(text+"; without it: "+f.Lost, "; ")
	}
	p.wrapped(fmt.Sprintf("  %-9s  %-28s  ", f.State, f.Name), text)
}

// hooks prints hooks with the same prefix and the same fact together, because the syscall mode has some seventy hooks.
func (p *printer) hooks(hooks []Fact) {
	type group struct {
		prefix string
		said   Fact // without a name
	}
	var order []group
	names := map[group][]string{}
	for _, h := range hooks {
		prefix, name := split(h.Name)
		h.Name = ""
		g := group{prefix, h}
		if names[g] == nil {
			order = append(order, g)
		}
		names[g] = append(names[g], name)
	}
	for _, g := range order {
		said := g.said
		said.Name = g.prefix + strings.Join(names[g], " ")
		if len(names[g]) == 1 {
			p.fact(said)
			continue
		}
		said.Name = g.prefix + "*"
		p.fact(said)
		p.wrapped(strings.Repeat(" ", 13), strings.Join(names[g], " "))
	}
}

// split splits a hook into a prefix and the name of the call, or of the other thing that is traced.
func split(hook string) (prefix, name string) {
	for _, prefix := range []string{
		"tracepoint/syscalls/sys_enter_", "tracepoint/syscalls/sys_exit_", "tracepoint/sched/", "tp_btf/", "fexit/", "iter/", "run/",
	} {
		if name, found := strings.CutPrefix(hook, prefix); found {
			return prefix, name
		}
	}
	return "", hook
}

// wrapped prints a text after a prefix. Further lines are indented by the width of the prefix.
func (p *printer) wrapped(prefix, text string) {
	indent := strings.Repeat(" ", len([]rune(prefix)))
	line := prefix
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > width {
			p.line("%s", line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	p.line("%s", strings.TrimRight(line, " "))
}
