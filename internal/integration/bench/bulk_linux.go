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

const (
	bulkBytes    = 4 << 30
	bulkRequests = 2000 // a second, at the same time
)

// bulks are the bulk transfers.
var bulks = []struct {
	name  string
	flags []string
}{
	{"that speaks no protocol", nil},
	{"that is the body of an HTTP/1.1 response", []string{"-http"}},
}

// measureBulk compares how fast many bytes go over one connection while requests are made.
func measureBulk(s *settings) error {
	for _, b := range bulks {
		var arms []arm
		for _, o := range observations[:3] {
			arms = append(arms, arm{o.name, func() ([]float64, error) {
				return o.with(s, func(*collector) ([]float64, error) { return runBulk(b.flags) })
			}})
		}
		c, err := compare(arms, s.rounds)
		if err != nil {
			return err
		}
		fmt.Printf("%d GiB over one connection %s, beside %d requests a second, medians of %d rounds (least to most):\n\n",
			bulkBytes>>30, b.name, bulkRequests, s.rounds)
		fmt.Println("| | MiB a second | ratio | CPU of the transfer, s | ratio | requests a second |")
		fmt.Println("|---|---:|---:|---:|---:|---:|")
		for i, a := range c.arms {
			fmt.Printf("| %s | %.0f | %s | %.2f | %s | %.0f |\n", a.name, c.value(i, 0).median, c.ratio(i, 0).format(2),
				c.value(i, 1).median, c.ratio(i, 1).format(2), c.value(i, 2).median)
		}
		fmt.Println()
	}
	return nil
}

// runBulk returns MiB a second, the processor time of the transfer in seconds, and the requests a second that were made
// meanwhile.
func runBulk(flags []string) (figures []float64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	start := func(name string, flags ...string) (*workload.Run, error) {
		run, err := workload.Start(workload.Isolate(workload.Command(ctx, name, flags...)))
		if err == nil {
			err = run.Await("ready")
		}
		return run, err
	}
	bulk, err := start("bulk", append([]string{"-bytes", strconv.Itoa(bulkBytes)}, flags...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bulk.Kill()) }()
	requests, err := start("requests", "-n", strconv.Itoa(2*bulkRequests), "-rate", strconv.Itoa(bulkRequests), "-workers", "1")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, requests.Kill()) }()
	if err := errors.Join(requests.Continue(), bulk.Continue(), bulk.Await("done"), requests.Await("done")); err != nil {
		return nil, err
	}
	used, err := processorTimeOf(bulk.PID())
	did, beside := bulk.Load(), requests.Load()
	return []float64{
		float64(did.Bytes) / (1 << 20) / did.Elapsed.Seconds(), used.Seconds(),
		float64(beside.Requests) / beside.Elapsed.Seconds(),
	}, err
}
