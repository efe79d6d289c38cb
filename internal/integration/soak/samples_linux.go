package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
)

// sample is what the collector holds at a moment. Memory is in KiB.
type sample struct {
	at                           time.Time
	life                         int
	phase                        string
	rss, heap, files, goroutines int
	cpu                          time.Duration
}

func (c *collector) sample(phase string) (s sample, err error) {
	s = sample{at: time.Now(), life: c.life, phase: phase}
	proc := fmt.Sprintf("/proc/%d/", c.Cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "RssAnon:" {
			s.rss, _ = strconv.Atoi(fields[1])
		}
	}
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		return s, err
	}
	s.files = len(files)
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		return s, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	s.cpu = time.Duration(user+system) * 10 * time.Millisecond
	own, err := c.Scrape()
	if err != nil {
		return s, err
	}
	s.heap = own.Sum("process_runtime_heap_alloc_bytes", "") / 1024
	text, err := otelcol.Fetch(c.pprof + "goroutine?debug=1")
	if err != nil {
		return s, err
	}
	_, err = fmt.Sscanf(text, "goroutine profile: total %d", &s.goroutines)
	return s, err
}

// writeSamples appends to a table in the directory.
func writeSample(dir string, s sample) error {
	f, err := os.OpenFile(filepath.Join(dir, "samples.csv"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		_, _ = fmt.Fprintln(f, "time,life,phase,rss_anon_kib,heap_kib,files,goroutines,cpu_seconds")
	}
	_, err = fmt.Fprintf(f, "%s,%d,%s,%d,%d,%d,%d,%.2f\n", s.at.UTC().Format(time.RFC3339), s.life, s.phase, s.rss, s.heap, s.files, s.goroutines,
		s.cpu.Seconds())
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// readSamples reads the table that writeSample wrote.
func readSamples(path string) (all []sample, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		var s sample
		if s.at, err = time.Parse(time.RFC3339, fields[0]); err != nil || len(fields) < 7 {
			continue // the head
		}
		s.phase = fields[2]
		for i, to := range map[int]*int{1: &s.life, 3: &s.rss, 4: &s.heap, 5: &s.files, 6: &s.goroutines} {
			if *to, err = strconv.Atoi(fields[i]); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// bound is how much a figure may grow from the first to the last sixth of a life.
type bound struct {
	name  string
	of    func(sample) int
	ratio float64
	plus  int
}

var bounds = []bound{
	{"RssAnon, KiB", func(s sample) int { return s.rss }, 1.15, 8 << 10},
	{"Go heap, KiB", func(s sample) int { return s.heap }, 1.15, 16 << 10},
	{"files", func(s sample) int { return s.files }, 1, 8},
	{"goroutines", func(s sample) int { return s.goroutines }, 1, 8},
}

const leastSamples = 12 // of a life that is compared

// afterFlood is how long the flows of a flood may still be followed: they end by being idle, and Go gives memory back late.
const afterFlood = 3 * time.Minute

// afterReload is how long the goroutines of what was reloaded may still end.
const afterReload = 90 * time.Second

// steady are the samples of a life that are compared: the calm ones after the warm-up, which lasts until the first flood is over, and not
// soon after a flood or a reload.
func steady(all []sample, life int) (calm []sample) {
	flooded := false
	var last, reloaded time.Time
	for _, s := range all {
		if s.life != life {
			continue
		}
		if s.phase == "flood" && !flooded {
			flooded, calm = true, nil
		}
		if s.phase == "flood" {
			last = s.at
		}
		if s.phase == "reload" {
			reloaded = s.at
		}
		if s.phase == "calm" && s.at.Sub(last) > afterFlood && s.at.Sub(reloaded) > afterReload {
			calm = append(calm, s)
		}
	}
	return calm
}

// flat prints the first and last sixth of each life, and returns how many figures have grown.
func flat(all []sample) (grown int) {
	if len(all) == 0 {
		return 1
	}
	fmt.Println("\n| life | figure | median of the first sixth | of the last sixth | samples | flat |")
	fmt.Println("|---:|---|---:|---:|---:|---|")
	compared := false
	for life := range all[len(all)-1].life + 1 {
		calm := steady(all, life)
		if len(calm) < leastSamples {
			continue
		}
		compared = true
		sixth := len(calm) / 6
		for _, b := range bounds {
			first, last := median(calm[:sixth], b.of), median(calm[len(calm)-sixth:], b.of)
			verdict := "yes"
			if float64(last) > float64(first)*b.ratio+float64(b.plus) {
				verdict = "NO"
				grown++
			}
			fmt.Printf("| %d | %s | %d | %d | %d | %s |\n", life, b.name, first, last, len(calm), verdict)
		}
	}
	if !compared {
		fmt.Println("no process of the collector has lived long enough to be compared")
	}
	return grown
}

func median(samples []sample, of func(sample) int) int {
	var values []int
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
