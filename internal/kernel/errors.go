// Package kernel loads the eBPF programs, attaches them, chooses how to capture, and reads what they report.
package kernel

import "errors"

// ErrUnsupported is wrapped by errors that say what this host lacks (a kernel feature, a privilege, Linux) and what would help.
var ErrUnsupported = errors.New("this host is not supported")

// ErrPrivilege is wrapped beside ErrUnsupported where what this host lacks is a privilege that every mode needs.
var ErrPrivilege = errors.New("a privilege is missing")

// errRefused is wrapped where a program is to be run that the kernel did not load.
var errRefused = errors.New("the kernel refused it")
