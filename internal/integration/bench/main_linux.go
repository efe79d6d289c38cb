//go:build amd64 || arm64

// Command bench measures what the receiver costs: the kernel programs, user space, the collector, and the observed programs.
// Figures that are compared come from the same run, interleaved, as ratios: the machine may be shared.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

// settings are those of the command line.
type settings struct {
	collector string
	seconds   int
	rounds    int
	profile   string
	dir       string // for files of this run
	self      string // this program
}

// section is one group of measurements.
type section struct {
	name    string
	measure func(s *settings) error
}

// sections in the order in which they are measured.
var sections = []section{
	{"connections", measureConnections},
	{"data", measureData},
	{"frames", measureFrames},
	{"replay", measureReplay},
	{"paced", measurePacedRequests},
	{"idle", measureIdle},
	{"servers", measureServers},
	{"databases", measureDatabases},
	{"bulk", measureBulk},
	{"modes", measureModes},
	{"tls", measureTLS},
}

func main() {
	workload.RunIfAsked()
	var names []string
	for _, part := range sections {
		names = append(names, part.name)
	}
	s := &settings{}
	flag.StringVar(&s.collector, "collector", "_build/otelcol-socketflow", "the collector to measure")
	flag.IntVar(&s.seconds, "seconds", 5, "length of each measurement under load")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of what is compared")
	flag.StringVar(&s.profile, "profile", "", "write a CPU profile of each replay to a file whose name begins like this")
	only := flag.String("only", strings.Join(names, ","), "what is measured")
	count := flag.Int("load-count", 0, "run as the load: this many connections")
	rate := flag.Int("load-rate", 0, "run as the load: connections per second, 0: as many as possible")
	held := flag.Int("hold", 0, "run as the server of this many connections that stay open, and print its port")
	port := flag.Int("hold-port", 0, "run as the client of the server at this port")
	serve := flag.String("serve", "", "run as a server with this scheme, http or https, on the port behind it, as https:8443")
	flag.Parse()
	self, err := os.Executable()
	s.self = self
	switch {
	case err != nil:
	case *count > 0:
		err = runLoad(*count, *rate)
	case *held > 0:
		err = hold(*held, *port)
	case *serve != "":
		err = serveRequests(*serve)
	default:
		err = measure(s, strings.Split(*only, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(s *settings, only []string) (err error) {
	for _, name := range only {
		if !slices.ContainsFunc(sections, func(part section) bool { return part.name == name }) {
			return fmt.Errorf("nothing is called %q", name)
		}
	}
	// In memory, so that the servers do not wait for a disk.
	if s.dir, err = os.MkdirTemp("/dev/shm", "socketflow-bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	fmt.Printf("Linux %s, %s\n\n", unix.ByteSliceToString(name.Release[:]), time.Now().UTC().Format(time.DateOnly))
	for _, part := range sections {
		if !slices.Contains(only, part.name) {
			continue
		}
		if err := part.measure(s); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
