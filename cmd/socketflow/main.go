// Command socketflow records what the receiver socketflow is given on this host, for a report of a defect, and replays a recording.
//
//	socketflow record -o x.sfr      until Ctrl-C; as root, or with the collector's capabilities
//	socketflow replay x.sfr         prints what the receiver makes of it; needs no privileges
//
// The exit code is 0, 1 if something has failed, and 2 if the arguments are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const usage = `socketflow records what the receiver is given on this host, and replays it.

  socketflow record -o x.sfr    until Ctrl-C; as root, or with the collector's capabilities
  socketflow replay x.sfr       print what the receiver makes of it
  socketflow version

-h behind a command lists its flags.
`

// errUsage means that the arguments are wrong, and that this has been printed.
var errUsage = errors.New("the arguments are wrong")

// version is set by `make release`.
var version string

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		return info.Main.Version
	}
	return version
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := errUsage
	switch {
	case len(args) > 0 && args[0] == "record":
		err = record(ctx, args[1:], stderr)
	case len(args) > 0 && args[0] == "replay":
		err = replay(ctx, args[1:], stdout, stderr)
	case len(args) == 1 && (args[0] == "version" || args[0] == "--version"):
		_, err = fmt.Fprintf(stdout, "socketflow %s %s/%s\n", programVersion(), runtime.GOOS, runtime.GOARCH)
	case len(args) == 1 && (args[0] == "-h" || args[0] == "--help"):
		_, err = io.WriteString(stdout, usage)
	default:
		_, _ = io.WriteString(stderr, usage) // if stderr fails, nothing is left to report it to
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.Is(err, errUsage):
		return exitUsage
	}
	_, _ = fmt.Fprintln(stderr, "socketflow:", err)
	return exitFailed
}

// parse parses the flags of a command. It prints what is wrong.
func parse(flags *flag.FlagSet, args []string) error {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	}
	return nil
}

// complain prints what is wrong with the arguments.
func complain(to io.Writer, format string, args ...any) error {
	_, _ = fmt.Fprintf(to, "socketflow: "+format+"\n", args...)
	return errUsage
}
