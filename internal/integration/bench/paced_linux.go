//go:build amd64 || arm64

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

// Figures of a paced load.
const (
	pacedCPU = iota
	pacedEmitted
	pacedLost
	pacedResident
)

// measurePacedRequests measures the collector below its full load: every request is two spans.
func measurePacedRequests(s *settings) error {
	fmt.Printf("Collector under paced requests over 64 connections, both ends, medians of %d rounds (least to most):\n\n", s.rounds)
	fmt.Println("| requests a second | CPU, µs per request | exchanges emitted per request | events lost | resident, MiB |")
	fmt.Println("|---|---:|---:|---:|---:|")
	for _, rate := range []int{1000, 20_000} {
		c, err := compare([]arm{{"", func() ([]float64, error) { return runPaced(s, &observation{}, rate) }}}, s.rounds)
		if err != nil {
			return err
		}
		c.printPaced(strconv.Itoa(rate), 0)
	}
	fmt.Println()
	return nil
}

// printPaced prints the row of an arm.
func (c *comparison) printPaced(name string, arm int) {
	fmt.Printf("| %s | %s | %s | %.0f | %s |\n", name, c.value(arm, pacedCPU).format(1), c.value(arm, pacedEmitted).format(2),
		c.value(arm, pacedLost).median, c.value(arm, pacedResident).format(0))
}

func runPaced(s *settings, o *observation, rate int) ([]float64, error) {
	return o.with(s, func(c *collector) ([]float64, error) {
		if err := pacedRequests(rate, rate); err != nil { // warm up: memory and tables reach their final size
			return nil, err
		}
		before, err := c.own()
		if err != nil {
			return nil, err
		}
		used, err := c.cpu()
		if err != nil {
			return nil, err
		}
		requests := rate * s.seconds
		if err := pacedRequests(requests, rate); err != nil {
			return nil, err
		}
		after, err := c.own()
		if err != nil {
			return nil, err
		}
		usedAfter, cpuErr := c.cpu()
		rss, _, rssErr := c.rss()
		return []float64{
			(usedAfter - used).Seconds() * 1e6 / float64(requests), (after.exchanges - before.exchanges) / float64(requests),
			after.lost - before.lost, float64(rss) / 1024,
		}, errors.Join(cpuErr, rssErr)
	})
}

func pacedRequests(count, rate int) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run, err := workload.Start(workload.Isolate(workload.Command(ctx, "requests",
		"-n", strconv.Itoa(count), "-rate", strconv.Itoa(rate))))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.Kill()) }()
	return errors.Join(run.Await("ready"), run.Continue(), run.Await("done"))
}
