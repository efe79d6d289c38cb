package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// The ports of services and backends are below those that connections get.
const (
	lowestPort = 18_000
	portRanges = 60
	portRange  = 200
)

// ports hands out ports of a range, in turn.
type ports struct{ first, next int }

// newPorts takes a range that differs from that of another run.
func newPorts() *ports { return &ports{first: lowestPort + os.Getpid()%portRanges*portRange} }

// last is the range's last port.
func (p *ports) last() int { return p.first + portRange - 1 }

// take is a port on which nobody listens.
func (p *ports) take() (int, error) {
	for range portRange {
		port := p.first + p.next%portRange
		p.next++
		if listener, err := net.Listen("tcp4", loopback(port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("all ports are taken")
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
