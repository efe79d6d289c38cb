//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
)

// Rule is the part of a selection rule that the kernel judges: ports. Which rules a process matches, user space says
// with SetRuleMatch.
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

// SetRuleMatch tells the kernel which rules a process matches, a bit each. It holds until the process execs, changes cgroup
// or ends; a process not judged is observed. generation is that of the description that was judged.
func (c *SocketTracer) SetRuleMatch(id process.ID, generation uint32, rules uint64) error {
	v := &bpf.SocketflowRuleMatch{Start: id.Start, Rules: rules, Generation: generation}
	if err := c.objects.Maps[bpf.SocketflowMapRuleMatches].Put(id.PID, v); err != nil {
		return fmt.Errorf("install the judgement of process %d: %w", id.PID, err)
	}
	return nil
}
