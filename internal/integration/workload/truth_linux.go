//go:build amd64 || arm64

package workload

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Role is the side of a connection that a process was on.
type Role string

// The roles.
const (
	Client Role = "client" // it connected
	Server Role = "server" // it was connected to
)

// End is one end of a TCP connection, or of an attempt at one, as the process that had it knows it.
type End struct {
	Step   string         `json:"step"`  // what the workload did; the workload's comment lists its steps
	PID    int            `json:"pid"`   // the process that connected, accepted, or listened for an unaccepted connection
	NetNS  uint64         `json:"netns"` // inode of the network namespace
	Role   Role           `json:"role"`
	Local  netip.AddrPort `json:"local"`  // getsockname's; a v4-mapped address is left mapped. Zero: the process cannot know it
	Remote netip.AddrPort `json:"remote"` // getpeername's, or connect's argument
	Sent   uint64         `json:"sent"`   // bytes
	// Received counts bytes that came in, even if no call read them.
	Received uint64     `json:"received"`
	Failed   bool       `json:"failed,omitempty"` // it never became a connection
	Errno    unix.Errno `json:"errno,omitempty"`  // why; 0 if the process gave up
}

// Load is the result of a workload that is too large to list its ends.
type Load struct {
	PID         int           `json:"pid"`
	Connections int           `json:"connections"` // each has two ends in the process
	Requests    int           `json:"requests,omitempty"`
	Bytes       int           `json:"bytes,omitempty"` // of the requests and their responses
	Elapsed     time.Duration `json:"elapsed"`
	// Behind is how late the last connection was, at the requested rate.
	Behind time.Duration `json:"behind"`
}

// PerSecond is the reached rate.
func (l Load) PerSecond() float64 { return float64(l.Connections) / l.Elapsed.Seconds() }
