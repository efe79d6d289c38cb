// Package kernel loads the eBPF programs, attaches them, chooses how to capture, and reads what they report.
package kernel

import "errors"

// ErrUnsupported is wrapped by errors that say what this host lacks (a kernel feature, a privilege, Linux) and what would help.
var ErrUnsupported = errors.New("this host is not supported")
