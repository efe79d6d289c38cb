package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// runtime is a kind of service. In its commands PROGRAMS is the folder of the sources, WORK that of what was built, LISTEN the service's
// port, CONFIG the file made from its template.
type runtime struct {
	name     string
	needs    [][]string // commands that succeed where it can be had
	install  string     // Debian's packages otherwise
	build    string
	config   string // template, below PROGRAMS
	command  string
	patterns []pattern
	forwards bool // a proxy: it makes its call with the path of the request
	grpc     bool
	unseen   string // why its requests are not seen: no parent is right
	least    aim
}

// aim is the recall that is aimed at, up to a concurrency; 0: any.
type aim struct {
	recall      float64
	concurrency int
}

// missed reports whether a cell has less.
func (a aim) missed(concurrency int, recall float64) bool {
	return recall < a.recall && (a.concurrency == 0 || concurrency <= a.concurrency)
}

// place is where a service runs: templates of configurations use it.
type place struct {
	Programs, Work, Dir string
	Listen, Backend     int
	Style               string
	Calls               string
	Concurrency         int
	RequestIDs          bool
}

func (p *place) words(text string) []string {
	replace := strings.NewReplacer("PROGRAMS", p.Programs, "WORK", p.Work, "LISTEN", fmt.Sprint(p.Listen),
		"CONFIG", filepath.Join(p.Dir, "config"), "DIR", p.Dir)
	words := strings.Fields(text)
	for i := range words {
		words[i] = replace.Replace(words[i])
	}
	return words
}

// environment is that of a service: none of the user's.
func (p *place) environment() []string {
	all := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.Dir, "LANG=C.UTF-8",
		fmt.Sprint("LISTEN=", p.Listen), fmt.Sprint("BACKEND=", p.Backend), fmt.Sprint("CONCURRENCY=", p.Concurrency),
		"STYLE=" + p.Style, "CALLS=" + p.Calls, "PYTHONPATH=" + filepath.Join(p.Programs, "python"), "PYTHONDONTWRITEBYTECODE=1",
	}
	if p.RequestIDs {
		all = append(all, "REQUEST_IDS=yes")
	}
	return all
}

// prepare builds what is needed; absent says why the runtime cannot be had.
func (r *runtime) prepare(p *place) (absent string, err error) {
	for _, need := range r.needs {
		program := strings.ReplaceAll(need[0], "PROGRAMS", p.Programs)
		if err := exec.Command(program, need[1:]...).Run(); err != nil {
			return fmt.Sprintf("%s: %v (Debian: %s)", strings.Join(need, " "), err, r.install), nil
		}
	}
	if r.build == "" {
		return "", nil
	}
	words := p.words(r.build)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w:\n%s", r.build, err, out)
	}
	return "", nil
}

// start returns a service that listens.
func (r *runtime) start(p *place) (*process, error) {
	if r.config != "" {
		if err := p.render(r.config); err != nil {
			return nil, err
		}
	}
	words := p.words(r.command)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = p.Dir, p.environment()
	return startProcess(cmd, filepath.Join(p.Dir, "service.log"), p.Listen)
}

// render makes the configuration from its template.
func (p *place) render(name string) error {
	made, err := template.ParseFiles(filepath.Join(p.Programs, name))
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := made.Execute(&text, p); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.Dir, "config"), []byte(text.String()), 0o600)
}
