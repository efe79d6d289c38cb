package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// settings are those of the command line.
type settings struct {
	collector  string
	programs   string
	dir        string
	receiver   string
	requests   int
	explain    int
	strict     bool
	requestIDs bool
}

// choices are which cells are measured, as they are written.
type choices struct {
	runtimes, concurrency, styles, patterns string
	quick                                   bool
}

func main() {
	s, c := &settings{}, &choices{}
	flag.StringVar(&s.collector, "collector", "_build/otelcol-socketflow", "the collector that is run")
	flag.StringVar(&s.programs, "programs", "internal/integration/causality/programs", "the sources of the services")
	flag.StringVar(&s.dir, "dir", "", "directory of logs; empty: a temporary one, which stays only if the run fails")
	flag.StringVar(&s.receiver, "receiver", "", "more lines of the receiver's configuration, separated by ;")
	flag.IntVar(&s.requests, "requests", 0, "requests of each cell; 0: 200, or 4 times the concurrency if that is more")
	flag.IntVar(&s.explain, "explain", 0, "name up to so many calls of each cell that are not as they should be, on standard error")
	flag.BoolVar(&s.strict, "strict", false, "fail if a cell misses an aim, in recall twice")
	flag.BoolVar(&s.requestIDs, "request-ids", false, "requests carry an X-Request-ID, which services pass on")
	flag.StringVar(&c.runtimes, "runtimes", "", "parts of the names of runtimes, separated by commas; empty: all")
	flag.StringVar(&c.concurrency, "concurrency", "1,10,100,500", "connections to the service")
	flag.StringVar(&c.styles, "styles", "pooled,new", "connections to the backend")
	flag.StringVar(&c.patterns, "patterns", "one,delayed,sequential,parallel,background", "calls of a request")
	flag.BoolVar(&c.quick, "quick", false, "only pooled connections, concurrency 1 and 100, one call, a delayed one, three parallel ones, and background ones")
	backend := flag.Int("backend", 0, "run as the backend, on this port")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	var err error
	if *backend > 0 {
		err = serveBackend(ctx, *backend)
	} else {
		err = s.start(ctx, c)
	}
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "causality:", err)
		os.Exit(1)
	}
}

func (c *choices) matrix() (*matrix, error) {
	if c.quick {
		c.concurrency, c.styles, c.patterns = "1,100", string(pooled), string(one+","+delayed+","+parallel+","+background)
	}
	m := &matrix{}
	var err error
	if m.runtimes, err = choose(runtimes, c.runtimes); err != nil {
		return nil, err
	}
	for word := range strings.SplitSeq(c.concurrency, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("concurrency %q is no number of connections", word)
		}
		m.concurrency = append(m.concurrency, n)
	}
	if m.styles, err = chooseNames("styles", c.styles, pooled, fresh); err != nil {
		return nil, err
	}
	m.patterns, err = chooseNames("patterns", c.patterns, one, delayed, sequential, parallel, background)
	return m, err
}

func (s *settings) start(ctx context.Context, c *choices) (err error) {
	m, err := c.matrix()
	if err != nil {
		return err
	}
	temporary := s.dir == ""
	if temporary {
		if s.dir, err = os.MkdirTemp("", "socketflow-causality"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil { //nolint:gosec // services run as other users
		return err
	}
	for _, path := range []*string{&s.collector, &s.programs, &s.dir} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := measure(ctx, s, m, os.Stdout); err != nil {
		return errors.Join(err, fmt.Errorf("logs are in %s", s.dir))
	}
	if temporary {
		return os.RemoveAll(s.dir)
	}
	return nil
}
