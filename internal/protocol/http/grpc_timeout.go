package http

import (
	"time"

	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// maxTimeoutDigits: gRPC, PROTOCOL-HTTP2.md, "TimeoutValue".
const maxTimeoutDigits = 8

// parseGRPCTimeout reads grpc-timeout, such as 100m (milliseconds); 0 if it is invalid.
func parseGRPCTimeout(value []byte) time.Duration {
	last := len(value) - 1
	if last < 1 || last > maxTimeoutDigits {
		return 0
	}
	var n time.Duration
	for _, c := range value[:last] {
		if !ascii.IsDigit(c) {
			return 0
		}
		n = 10*n + time.Duration(c-'0')
	}
	switch value[last] {
	case 'H':
		return min(n, longestTimeout/time.Hour) * time.Hour
	case 'M':
		return min(n, longestTimeout/time.Minute) * time.Minute
	case 'S':
		return n * time.Second
	case 'm':
		return n * time.Millisecond
	case 'u':
		return n * time.Microsecond
	case 'n':
		return n
	}
	return 0
}

const longestTimeout = 100_000 * time.Hour

// timedOut reports whether the deadline of a call that was cancelled had passed. Clients round the timeout up when they send it, and take
// some time for that: up to a sixteenth of it, or a millisecond, may be missing.
func (m *Message) timedOut() bool {
	if m.timeout == 0 || m.End.Time < m.Start.Began {
		return false
	}
	return time.Duration(m.End.Time-m.Start.Began) >= m.timeout-max(m.timeout/16, time.Millisecond)
}
