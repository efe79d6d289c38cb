//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// observation is a configuration of the collector, or none.
type observation struct {
	name string
	off  bool
	keys string // configuration of the receiver, indented by four spaces
	// signals are those of the pipelines; nil: bothSignals.
	signals []string
	// looksIntoTLS: nothing runs until the libraries of this host's processes are found, which takes a while after the start.
	looksIntoTLS bool
}

// with runs something while the collector runs; c is nil without one.
func (o *observation) with(s *settings, run func(c *collector) ([]float64, error)) (figures []float64, err error) {
	if o.off {
		return run(nil)
	}
	c, err := startCollector(s, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if o.looksIntoTLS {
		if err := c.awaitLibraries(); err != nil {
			return nil, err
		}
	}
	return run(c)
}

// observations are compared. The first is without a collector.
var observations = []observation{
	{name: "collector off", off: true},
	{name: "connections only (`protocols: []`)", keys: "    protocols: []"},
	{name: "metrics alone", signals: []string{"metrics"}},
	{name: "metrics, and 1 % of the traces (`sampling::ratio: 0.01`)", keys: "    sampling: {ratio: 0.01}", signals: []string{"metrics", "traces"}},
	{name: "default: requests, both ends", keys: ""},
	{name: "requests of the server alone (`include`)", keys: "    include: [{executable: '**/nginx'}, " +
		"{executable: '**/redis*server'}, {executable: '**/redis-check-rdb'}]"},
}

// workplaces are the processors on which the load runs: the server is on processor 0, and the collector where there is room.
var workplaces = []struct{ name, processor string }{
	{"load and server on one core", serverProcessor},
	{"on a core each", "1"},
}

// measureServers compares the throughput of servers without the collector and with it.
func measureServers(s *settings) (err error) {
	nginxDir, redisDir := filepath.Join(s.dir, "nginx"), filepath.Join(s.dir, "redis")
	if err := errors.Join(os.Mkdir(nginxDir, 0o750), os.Mkdir(redisDir, 0o750)); err != nil {
		return err
	}
	nginx, nginxPort, err := startNginx(nginxDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nginx.stop()) }()
	redis, redisPort, err := startRedis(redisDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.stop()) }()
	loads := []struct {
		name   string
		server *server
		run    func(port int, processor string, seconds int) (served, error)
		port   int
	}{
		{"nginx, 600 bytes, wrk over 32 connections", nginx, loadNginx, nginxPort},
		{"redis, GET of 100 bytes, redis-benchmark over 32 connections", redis, loadRedis, redisPort},
	}
	for _, load := range loads {
		for _, place := range workplaces {
			c, err := compareServed(s, observations, load.server, func() (served, error) {
				return load.run(load.port, place.processor, max(1, s.seconds/2))
			})
			if err != nil {
				return err
			}
			c.printServed(load.name + ", " + place.name)
		}
	}
	return nil
}

// compareServed compares the figures of a load of a server.
func compareServed(s *settings, ways []observation, server *server, load func() (served, error)) (*comparison, error) {
	var arms []arm
	for _, o := range ways {
		arms = append(arms, arm{o.name, func() ([]float64, error) {
			return o.with(s, func(c *collector) ([]float64, error) { return observe(server, c, load) })
		}})
	}
	return compare(arms, 2*s.rounds)
}

// Figures of a load.
const (
	perSecond = iota
	p99
	cpuOfBoth
	cpuOfCollector
	exchangesEmitted
	eventsLost
	foreign
	cpuOfServer
	requestsForgotten
	requestsJoined
	figures
)

// observe runs a load of a server, with the collector or without.
func observe(server *server, c *collector, run func() (served, error)) ([]float64, error) {
	before, err := progressOf(server, c)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	did, err := run()
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, err := progressOf(server, c)
	if err != nil {
		return nil, err
	}
	both, collectors := after.server-before.server+did.cpu, after.collector-before.collector
	out := make([]float64, figures)
	out[perSecond], out[p99] = did.rate, did.p99.Seconds()*1e3
	out[cpuOfBoth], out[cpuOfCollector] = both.Seconds()*1e6/did.n, collectors.Seconds()*1e6/did.n
	out[exchangesEmitted], out[eventsLost] = (after.emitted.exchanges-before.emitted.exchanges)/did.n, after.emitted.lost-before.emitted.lost
	out[cpuOfServer] = (after.server - before.server).Seconds() * 1e6 / did.n
	out[requestsForgotten] = (after.emitted.forgotten - before.emitted.forgotten) / did.n
	out[requestsJoined] = (after.emitted.joined - before.emitted.joined) / did.n
	out[foreign] = max(0, (after.all-before.all-both-collectors).Seconds()/took.Seconds())
	return out, nil
}

// quiet is how many processors' time others may have used in a valid round.
const quiet = 0.2

func (c *comparison) printServed(title string) {
	all := len(c.figures[0])
	fit := c.keep(func(round int) bool {
		for arm := range c.arms {
			if c.figures[arm][round][foreign] > quiet {
				return false
			}
		}
		return true
	})
	fmt.Printf("%s, medians of %d rounds (least to most); in %d of %d other programs of this machine used less than %.1f processors",
		title, len(c.figures[0]), fit, all, quiet)
	fmt.Print(":\n\n| | requests a second | ratio | p99, ms | CPU of load and server, µs per request | ratio " +
		"| the collector's | exchanges emitted per request | events lost |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, a := range c.arms {
		fmt.Printf("| %s | %.0f | %s | %.2f | %.1f | %s | %.1f | %.2f | %.0f |\n", a.name,
			c.value(i, perSecond).median, c.ratio(i, perSecond).format(2), c.value(i, p99).median,
			c.value(i, cpuOfBoth).median, c.ratio(i, cpuOfBoth).format(2), c.value(i, cpuOfCollector).median,
			c.value(i, exchangesEmitted).median, c.value(i, eventsLost).median)
	}
	fmt.Println()
}

// progress is the processor time of a server, of the collector if there is one, and of everything, and the collector's emitted
// and lost events.
type progress struct {
	server, collector, all time.Duration
	emitted                emitted
}

func progressOf(s *server, c *collector) (p progress, err error) {
	if c != nil {
		if p.emitted, err = c.own(); err != nil {
			return p, err
		}
		if p.collector, err = c.cpu(); err != nil {
			return p, err
		}
	}
	if p.server, err = s.cpu(); err != nil {
		return p, err
	}
	p.all, err = processorTimeOfAll()
	return p, err
}
