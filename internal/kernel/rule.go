//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
)

// Rule is the part of a selection rule that the kernel evaluates: ports. User space evaluates the rest and reports with
// SetRuleMatch which rules a process matches.
type Rule struct {
	Exclude    bool
	LocalPort  ports.Range
	RemotePort ports.Range
}

func (r Rule) raw() *bpf.SocketflowRule {
	return &bpf.SocketflowRule{
		LocalPortLow: r.LocalPort.Low, LocalPortHigh: r.LocalPort.High,
		RemotePortLow: r.RemotePort.Low, RemotePortHigh: r.RemotePort.High,
		Exclude: number(r.Exclude),
	}
}

// leaveOutAll reports whether the rules leave out all sockets of a process that matches some of them, a bit each, whatever their ports.
func leaveOutAll(rules []Rule, matched uint64) bool {
	var includes, included bool
	for i, r := range rules {
		matches := matched>>i&1 == 1
		switch {
		case !r.Exclude:
			includes, included = true, included || matches
		case matches && r.LocalPort == ports.Range{} && r.RemotePort == ports.Range{}:
			return true
		}
	}
	return includes && !included
}

// SetRuleMatch sets which rules a process matches, a bit each. It holds until the process execs, changes cgroup
// or ends. A process without a rule match is observed. generation is that of the description that was evaluated.
func (c *SocketTracer) SetRuleMatch(id process.ID, generation uint32, rules uint64) error {
	v := &bpf.SocketflowRuleMatch{Start: id.Start, Rules: rules, Generation: generation}
	if err := c.objects.Maps[bpf.SocketflowMapRuleMatches].Put(id.PID, v); err != nil {
		return fmt.Errorf("set the rule match of process %d: %w", id.PID, err)
	}
	return nil
}
