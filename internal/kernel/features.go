//go:build linux && (amd64 || arm64)

package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// programDef is a kernel program and what it is attached to.
type programDef struct {
	name string // of the C function
	// hook begins with its kind: tp_btf/TRACEPOINT, fexit/FUNCTION, tracepoint/CATEGORY/NAME, raw_tp/TRACEPOINT, iter/TARGET; run is what user space
	// runs itself.
	hook string
	// elsewhere means that a kernel or an architecture may lack the hook, and that nothing is lost then.
	elsewhere bool
}

// Kinds of hooks.
const (
	tracingHook    = "tp_btf/"
	functionHook   = "fexit/"
	entryHook      = "fentry/"
	tracepointHook = "tracepoint/"
	iteratorHook   = "iter/"
	rawHook        = "raw_tp/"
	runHook        = "run"
)

// feature is a function of a mode that has programs of its own. A kernel that refuses these programs loses the feature and nothing else.
type feature struct {
	without string         // what is lost without it; empty: without it the mode does not work
	ways    [][]programDef // the first of which the kernel takes every program is used
	behind  string         // a program without which this feature has no purpose
	help    string         // of an essential feature: what to do where it is refused; empty: what the mode needs
	taken   func() error   // called once it is attached; may be nil
}

func (f *feature) essential() bool { return f.without == "" }

// one is a feature of one program.
func one(name, hook, without string) feature {
	return feature{without: without, ways: [][]programDef{{{name: name, hook: hook}}}}
}

// errAbsent is wrapped where the kernel does not have a hook.
var errAbsent = errors.New("the kernel does not have it")

// installer loads and attaches the programs of a mode one by one, so that a refused program does not affect the others.
type installer struct {
	mode     string
	spec     *ebpf.CollectionSpec
	programs *programs
	fault    Fault
	attach   func(def *programDef, program *ebpf.Program) (link.Link, error) // no link: it is to be run
	loaded   func() error                                                    // called before the first program is attached; may be nil
	absent   func(def *programDef) error                                     // wraps errAbsent if the kernel lacks the hook; may be nil

	refused map[string]error // programs that did not load
	types   *btf.Cache       // the kernel's, decoded once for all programs
}

// install loads the programs of all features, and then attaches them in the order of the features.
func (in *installer) install(features []feature) error {
	in.refused, in.types = map[string]error{}, btf.NewCache()
	states := make([]*installation, len(features))
	in.loadTogether(features)
	for i := range features {
		states[i] = &installation{feature: &features[i], way: -1}
		in.loadNext(states[i])
	}
	var err error
	if in.loaded != nil && !in.lacksEssential(states) {
		err = in.loaded()
	}
	for _, s := range states {
		if err == nil {
			err = in.attachFeature(s)
		}
	}
	for _, s := range states {
		in.programs.status = append(in.programs.status, in.status(s)...)
	}
	in.closeUnused(states)
	return err
}

// lacksEssential reports whether an essential feature failed, so that the mode cannot work.
func (in *installer) lacksEssential(states []*installation) bool {
	return slices.ContainsFunc(states, func(s *installation) bool { return s.essential() && s.way == len(s.ways) })
}

// installation is a feature that is being installed.
type installation struct {
	*feature
	way      int              // the one that is loaded or attached; len(ways): none
	failed   map[string]error // programs of ways that did not work, by name and hook
	attached bool
	unneeded bool
}

func (s *installation) fail(def *programDef, err error) {
	if s.failed == nil {
		s.failed = map[string]error{}
	}
	if errors.Is(err, unix.EPERM) {
		err = unix.EPERM // without a guess at its cause, which is seldom right
	}
	s.failed[def.name+" "+def.hook] = err
}

// cause is why no way works.
func (s *installation) cause() error {
	var errs []error
	for _, way := range s.ways {
		for _, def := range way {
			if err := s.failed[def.name+" "+def.hook]; err != nil {
				errs = append(errs, fmt.Errorf("%s at %s: %w", def.name, def.hook, err))
				break // the first of a way will do
			}
		}
	}
	return errors.Join(errs...)
}

// loadNext goes on to the next way whose programs load.
func (in *installer) loadNext(s *installation) {
	for s.way++; s.way < len(s.ways); s.way++ {
		whole := true
		for i := range s.ways[s.way] {
			def := &s.ways[s.way][i]
			err := in.load(def)
			if err == nil || def.elsewhere && errors.Is(err, errAbsent) {
				continue
			}
			s.fail(def, err)
			whole = false
			break
		}
		if whole {
			return
		}
	}
}

func (in *installer) load(def *programDef) error {
	if in.absent != nil {
		if err := in.absent(def); err != nil {
			return err
		}
	}
	if in.programs.objects.Programs[def.name] != nil {
		return nil
	}
	if err := in.refused[def.name]; err != nil {
		return err
	}
	err := in.fault.at(StageLoad, def.name)
	if err == nil {
		var loaded map[string]*ebpf.Program
		loaded, err = in.loadAll([]string{def.name})
		maps.Copy(in.programs.objects.Programs, loaded)
	}
	if err != nil {
		in.refused[def.name] = err
	}
	return err
}

// loadTogether loads what will probably be needed, in as many groups at once as there are processors: the kernel verifies each program by
// itself. If it refuses one, nothing of that group is loaded: one by one they show which. So what a kernel under lockdown refuses, programs
// of functions, is a group of its own.
func (in *installer) loadTogether(features []feature) {
	var ofFunctions, others []string
	for i := range features {
		for _, def := range in.likelyWay(&features[i]) {
			if in.fault.at(StageLoad, def.name) != nil {
				continue
			}
			if _, is := functionOf(def.hook); is {
				ofFunctions = append(ofFunctions, def.name)
			} else {
				others = append(others, def.name)
			}
		}
	}
	groups := append(in.divide(others, runtime.GOMAXPROCS(0)), ofFunctions)
	loaded := make([]map[string]*ebpf.Program, len(groups))
	var loading sync.WaitGroup
	for i, names := range groups {
		loading.Go(func() { loaded[i], _ = in.loadAll(names) }) // the error comes again
	}
	loading.Wait()
	for _, programs := range loaded {
		maps.Copy(in.programs.objects.Programs, programs)
	}
}

// divide makes groups that the kernel takes equally long for, as far as the size of the programs shows that.
func (in *installer) divide(names []string, n int) [][]string {
	groups, sizes := make([][]string, n), make([]int, n)
	size := func(name string) int { return len(in.spec.Programs[name].Instructions) }
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(size(b)-size(a), strings.Compare(a, b)) })
	for _, name := range slices.Compact(names) {
		smallest := slices.Index(sizes, slices.Min(sizes))
		groups[smallest] = append(groups[smallest], name)
		sizes[smallest] += size(name)
	}
	return groups
}

// likelyWay is the first of which the kernel has all hooks, as far as that is known before.
func (in *installer) likelyWay(f *feature) []programDef {
	for _, way := range f.ways {
		there := slices.DeleteFunc(slices.Clone(way), func(def programDef) bool { return in.absent != nil && in.absent(&def) != nil })
		if len(there) == len(way) || slices.ContainsFunc(way, func(def programDef) bool { return def.elsewhere }) {
			return there
		}
	}
	return nil
}

// loadAll loads all of the programs or none, with the maps that exist.
func (in *installer) loadAll(names []string) (map[string]*ebpf.Program, error) {
	alone := &ebpf.CollectionSpec{
		Maps: in.spec.Maps, Programs: map[string]*ebpf.ProgramSpec{}, Types: in.spec.Types, ByteOrder: in.spec.ByteOrder,
	}
	for _, name := range names {
		alone.Programs[name] = in.spec.Programs[name]
	}
	loaded, err := ebpf.NewCollectionWithOptions(alone, ebpf.CollectionOptions{
		MapReplacements: in.programs.objects.Maps, Cache: in.types,
	})
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	programs := make(map[string]*ebpf.Program, len(names))
	for _, name := range names {
		programs[name] = loaded.DetachProgram(name)
	}
	return programs, nil
}

// attachFeature attaches the way that is loaded, or the next that can be. Its error is that of an essential feature.
func (in *installer) attachFeature(s *installation) error {
	if s.behind != "" && !in.programs.isAttached(s.behind) {
		s.unneeded = true
		return nil
	}
	for ; s.way < len(s.ways); in.loadNext(s) {
		if in.attachWay(s) {
			s.attached = true
			if s.taken != nil {
				return s.taken()
			}
			return nil
		}
	}
	cause := s.cause()
	if s.essential() {
		return refusal(in.mode, cmp.Or(s.help, newer[in.mode]), cause)
	}
	in.programs.degraded = append(in.programs.degraded, fmt.Errorf("%s: %w", s.without, cause))
	return nil
}

// attachWay attaches all programs of a way or none.
func (in *installer) attachWay(s *installation) bool {
	var hooks []attachedHook
	var links []link.Link
	for i := range s.ways[s.way] {
		def := &s.ways[s.way][i]
		program := in.programs.objects.Programs[def.name]
		if program == nil {
			continue // elsewhere
		}
		var made link.Link
		err := in.fault.at(StageAttach, def.name)
		if err == nil {
			made, err = in.attach(def, program)
		}
		if def.elsewhere && errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			s.fail(def, errors.Join(err, detach(links)))
			return false
		}
		hooks, links = append(hooks, attachedHook{def.name, def.hook}), append(links, made)
	}
	in.programs.hooks, in.programs.links = append(in.programs.hooks, hooks...), append(in.programs.links, links...)
	return true
}

// status of the programs that were tried. Ways behind the one that is used were not tried and are not in it.
func (in *installer) status(s *installation) (all []ProgramStatus) {
	if s.unneeded {
		return nil
	}
	for n, way := range s.ways {
		for _, def := range way {
			status := ProgramStatus{Program: def.name, Hook: def.hook}
			failed := s.failed[def.name+" "+def.hook]
			switch {
			case s.attached && n > s.way:
				continue
			case s.attached && n == s.way:
				if !in.programs.isAttachedTo(def.name, def.hook) {
					continue // elsewhere
				}
			case s.attached:
				status.State, status.By, status.Err = ProgramReplaced, s.ways[s.way][0].hook, failed
			case failed == nil:
				status.State = ProgramUntried
			case errors.Is(failed, errAbsent):
				status.State, status.Without, status.Err = ProgramAbsent, s.without, failed
			default:
				status.State, status.Without, status.Err = ProgramRefused, s.without, failed
			}
			all = append(all, status)
		}
	}
	return all
}

// closeUnused closes the programs of ways that were given up.
func (in *installer) closeUnused(states []*installation) {
	used := map[string]bool{}
	for _, s := range states {
		if !s.attached {
			continue
		}
		for _, def := range s.ways[s.way] {
			used[def.name] = true
		}
	}
	for name, program := range in.programs.objects.Programs {
		if !used[name] {
			program.Close() //nolint:errcheck // it was never attached
			delete(in.programs.objects.Programs, name)
		}
	}
}

// attachedHook is a program and what it is attached to.
type attachedHook struct{ program, hook string }

// detach detaches programs, all at once: each may have to wait for the kernel. A program that user space runs itself has no link.
func detach(links []link.Link) error {
	errs := make([]error, len(links))
	var closing sync.WaitGroup
	for i, l := range links {
		if l != nil {
			closing.Go(func() { errs[i] = l.Close() })
		}
	}
	closing.Wait()
	return errors.Join(errs...)
}

func (c *programs) isAttached(program string) bool {
	return slices.ContainsFunc(c.hooks, func(h attachedHook) bool { return h.program == program })
}

func (c *programs) isAttachedTo(program, hook string) bool {
	return slices.ContainsFunc(c.hooks, func(h attachedHook) bool { return h.program == program && h.hook == hook })
}

// Attached names the hooks that programs are attached to, each as often as there are programs.
func (c *programs) Attached() (hooks []string) {
	for _, h := range c.hooks {
		if h.hook != runHook && h.hook != libraryHook && h.hook != probeHook && !strings.HasPrefix(h.hook, iteratorHook) {
			hooks = append(hooks, h.hook)
		}
	}
	return hooks
}

// Programs returns what became of every program of the mode that this configuration uses.
func (c *programs) Programs() []ProgramStatus { return c.status }

// Self is the pid of this process in the initial pid namespace; 0: it is not left out, or not known.
func (c *programs) Self() uint32 { return c.self }

// Degraded returns one error for each feature that the mode lacks on this kernel.
func (c *programs) Degraded() []error { return c.degraded }

// loadMaps creates the maps of spec and none of its programs.
func loadMaps(spec *ebpf.CollectionSpec) (*ebpf.Collection, error) {
	alone := *spec
	alone.Programs = nil
	objects, err := ebpf.NewCollection(&alone)
	if err == nil && objects.Programs == nil {
		objects.Programs = map[string]*ebpf.Program{}
	}
	return objects, err
}
