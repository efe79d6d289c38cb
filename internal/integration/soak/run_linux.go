package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// run is the load from the first start of the collector to its last end.
func (x *soak) run(ctx context.Context) error {
	if err := x.startServers(); err != nil {
		return err
	}
	if err := x.start(); err != nil {
		return err
	}
	until := time.Now().Add(x.duration)
	load, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { x.loadUntil(load) })
	running.Go(func() { x.sampleUntil(load) })
	err := x.phases(load, until)
	cancel()
	running.Wait()
	x.clients.Wait()
	x.begin("end")
	return errors.Join(err, x.settle(), x.finish("SIGTERM"), x.collector.End(syscall.SIGTERM))
}

// phases runs bags of phases in an order of chance. Each phase is followed by a calm one.
func (x *soak) phases(ctx context.Context, until time.Time) error {
	killAt := time.Now().Add(x.duration / 2)
	killed := false
	for round := 0; ctx.Err() == nil; round++ {
		bag := []string{"flood", "stall", "gone", "reload", "programs", "flood", "reload"}
		if round%3 == 1 {
			bag = append(bag, "SIGTERM")
		}
		x.rand.Shuffle(len(bag), func(i, k int) { bag[i], bag[k] = bag[k], bag[i] })
		for _, phase := range bag {
			x.begin("calm")
			wait(ctx, min(40*time.Second, x.duration/20))
			if ctx.Err() != nil || time.Until(until) < x.duration/15 {
				wait(ctx, x.duration)
				return nil
			}
			if !killed && time.Now().After(killAt) {
				killed, phase = true, "SIGKILL"
			}
			x.begin(phase)
			if err := x.act(ctx, phase); err != nil {
				return fmt.Errorf("%s: %w", phase, err)
			}
			if err := x.settle(); err != nil {
				x.trouble("%s: %v", phase, err)
			}
		}
	}
	return nil
}

// between is a duration of chance, in seconds.
func between(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+r.IntN(most-least+1)) * time.Second
}

func (x *soak) act(ctx context.Context, phase string) error {
	switch phase {
	case "flood":
		return x.program("flood").Run()
	case "stall":
		x.sink.Stall()
		wait(ctx, min(between(x.rand, 30, 90), x.duration/6))
		x.sink.Resume()
	case "gone":
		if err := x.sink.Close(); err != nil {
			return err
		}
		wait(ctx, min(between(x.rand, 10, 40), x.duration/6))
		return x.sink.Open()
	case "programs":
		return x.shortPrograms()
	case "reload":
		err := x.reload()
		x.sample() // a reload may be over before the next one
		return err
	case "SIGTERM":
		return x.restart("SIGTERM", syscall.SIGTERM)
	case "SIGKILL":
		return x.restart("SIGKILL", syscall.SIGKILL)
	}
	return nil
}

// shortPrograms runs clients that live for a few requests each.
func (x *soak) shortPrograms() error {
	for range 20 {
		for range 2 {
			if _, err := x.startClient("-count", "5"); err != nil {
				return err
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	return nil
}

func (x *soak) start() error {
	c, err := startCollector(x.settings, x.life, x.config, x.metrics, x.pprof)
	x.life++
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.collector = c
	x.segments = append(x.segments, segment{life: c.life, begin: time.Now().UnixNano()})
	return nil
}

// finish ends the segment: its counters are read just before the signal.
func (x *soak) finish(how string) error {
	own, err := x.collector.Scrape()
	x.ledger.mu.Lock()
	received := x.ledger.spans + x.ledger.others
	x.ledger.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &x.segments[len(x.segments)-1]
	s.end, s.how, s.counters, s.received = time.Now().UnixNano(), how, own, received
	return err
}

func (x *soak) reload() error {
	if err := x.finish("reload"); err != nil {
		return err
	}
	if err := x.collector.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	if err := x.collector.WaitReady(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.segments = append(x.segments, segment{life: x.collector.life, begin: time.Now().UnixNano()})
	return nil
}

func (x *soak) restart(how string, signal syscall.Signal) error {
	if err := errors.Join(x.finish(how), x.collector.End(signal)); err != nil {
		return err
	}
	time.Sleep(time.Second)
	return x.start()
}

// settle waits until the exporter's queue is empty.
func (x *soak) settle() error {
	time.Sleep(2 * time.Second)
	for range 180 {
		own, err := x.collector.Scrape()
		if err == nil && own.Sum("exporter_queue_size", "") <= 1 {
			time.Sleep(time.Second)
			return nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return errors.New("the exporter's queue did not get empty in 90 s")
}

// stop ends the programs of the load.
func (x *soak) stop() (err error) {
	for _, cmd := range x.servers {
		if cmd.Process == nil {
			continue
		}
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait()
	}
	return errors.Join(err, x.sink.Close())
}
