package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// settings are those of the command line.
type settings struct {
	collector string
	duration  time.Duration
	dir       string
	seed      uint64

	judge string // samples of an earlier run
	part  string // empty: all of it
	run   int
	count int // requests; 0: until it is stopped
	ports string
}

func main() {
	s := &settings{}
	flag.StringVar(&s.collector, "collector", "_build/otelcol-socketflow", "the collector that is run")
	flag.DurationVar(&s.duration, "duration", 2*time.Hour, "how long the load lasts")
	flag.StringVar(&s.dir, "dir", "", "directory of the samples and the collector's logs; empty: a temporary one")
	flag.StringVar(&s.judge, "judge", "", "only say whether the figures of this samples.csv are flat")
	flag.Uint64Var(&s.seed, "seed", 1, "seed of the order of phases")
	flag.StringVar(&s.part, "part", "", "run as a program of the load: servers, client or flood")
	flag.IntVar(&s.run, "run", 0, "number of the client, the first part of its requests' ids")
	flag.IntVar(&s.count, "count", 0, "requests of a client that lives shortly; 0: it runs until SIGTERM")
	flag.StringVar(&s.ports, "at", "", "where the servers are, as JSON")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := s.start(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (s *settings) start(ctx context.Context) error {
	switch s.part {
	case "servers":
		return serve(ctx, s.ports)
	case "client":
		return runClient(ctx, s)
	case "flood":
		return flood(s.ports)
	}
	if s.judge != "" {
		return judgeSamples(s.judge)
	}
	var err error
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "socketflow-soak"); err != nil {
			return err
		}
	}
	if s.collector, err = filepath.Abs(s.collector); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	fmt.Printf("seed %d, %s, files in %s\n", s.seed, s.duration, s.dir)
	x, err := newSoak(s)
	if err != nil {
		return err
	}
	runErr := x.run(ctx)
	return errors.Join(runErr, x.stop(), x.report())
}

func judgeSamples(path string) error {
	all, err := readSamples(path)
	if err != nil {
		return err
	}
	if grown := flat(all); grown > 0 {
		return fmt.Errorf("%d figures have grown", grown)
	}
	return nil
}
