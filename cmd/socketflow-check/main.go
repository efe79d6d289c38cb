// Command socketflow-check reports, hook by hook, whether the receiver socketflow would start on this host with the privileges that the
// command is given. It also reports which mode would be chosen, and what to change. Run it the way the collector is run: as the same
// user, with the same capabilities, in the same container.
//
// The exit code is 0 if the receiver would start with its default configuration, 1 if it would not, and 2 if the arguments are
// wrong. With --version it checks nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/preflight"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const (
	exitStarts    = 0
	exitStartsNot = 1
	exitUsage     = 2
)

// version is set by `make release`.
var version string

// versionLine names this program and its version. A build that is no release has the version that the go command set.
func versionLine() string {
	known := version
	if info, ok := debug.ReadBuildInfo(); ok && known == "" {
		known = info.Main.Version
	}
	return fmt.Sprintf("socketflow-check %s %s/%s", known, runtime.GOOS, runtime.GOARCH)
}

func run(args []string, stdout, stderr io.Writer) int {
	complain := func(err error) {
		_, _ = fmt.Fprintln(stderr, "socketflow-check:", err) // if stderr fails too, nothing is left to report it to
	}
	flags := flag.NewFlagSet("socketflow-check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "write JSON")
	processes := flags.Bool("processes", false, "list the TLS libraries of running processes, and which of them are looked into")
	asksVersion := flags.Bool("version", false, "say which version this is, and nothing else")
	text := flags.String("mode", string(kernel.ModeAuto), "the receiver's key `mode`: auto, socket or syscall")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitStarts
	case err != nil:
		return exitUsage // the flag package has printed the error
	case flags.NArg() > 0:
		complain(fmt.Errorf("it takes flags only, not %q; -h lists them", flags.Arg(0)))
		return exitUsage
	}
	if *asksVersion {
		if _, err := fmt.Fprintln(stdout, versionLine()); err != nil {
			complain(err)
			return exitStartsNot
		}
		return exitStarts
	}
	mode, err := kernel.ParseMode(*text)
	if err != nil {
		complain(err)
		return exitUsage
	}
	report := preflight.Check(mode)
	if *processes {
		if err := report.AddProcesses(); err != nil {
			complain(err)
			return exitStartsNot
		}
	}
	if *asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(stdout)
	}
	switch {
	case err != nil:
		complain(fmt.Errorf("write the report: %w", err))
		return exitStartsNot
	case !report.Starts:
		return exitStartsNot
	default:
		return exitStarts
	}
}
