// Package kernel is the user-space side of the eBPF programs: it loads and attaches them, and reads the events that they report.
package kernel

import "errors"

// ErrUnsupported is wrapped by errors about what this host lacks (a kernel feature, a privilege, Linux). They also say what would help.
var ErrUnsupported = errors.New("this host cannot be observed")

// ErrPrivilege is wrapped beside ErrUnsupported if a privilege is missing that every mode needs.
var ErrPrivilege = errors.New("a privilege is missing")

// errRefused is wrapped if user space runs a program that the kernel did not load.
var errRefused = errors.New("the kernel refused it")
