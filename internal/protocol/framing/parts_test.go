package framing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// kept adds parts, each of as many bytes as its number says: c and s are of the client and the server, C and S are gaps in what they send.
func kept(script string, from int) (p Parts) {
	for i, c := range script {
		q := Part{N: uint64(i + 1), Stamp: protocol.Stamp{Time: uint64(i + 1), Began: uint64(i + 1), Position: uint64(10 * i)}}
		if strings.ContainsRune("sS", c) {
			q.Direction = protocol.FromServer
		}
		if strings.ContainsRune("CS", c) {
			q.Missing, q.Why = true, protocol.Loss(i%2+1)
		}
		p.Add(q, from)
	}
	return p
}

func TestPartsAreJoined(t *testing.T) {
	calls := strings.Repeat("c", MaxParts-1)
	for name, x := range map[string]struct {
		script string
		from   int
		count  int
		last   Part // without its direction
	}{
		"no gap":                        {"ccs", 0, 3, Part{N: 3, Stamp: protocol.Stamp{Time: 3, Began: 3, Position: 20}}},
		"adjacent gaps":                 {"cCC", 0, 2, Part{N: 5, Missing: true, Why: protocol.Lost, Stamp: protocol.Stamp{Time: 3, Began: 3, Position: 10}}},
		"gaps, but for the server":      {"SCs", 0, 3, Part{N: 3, Stamp: protocol.Stamp{Time: 3, Began: 3, Position: 20}}},
		"gaps with bytes between":       {"CcC", 0, 3, Part{N: 3, Missing: true, Why: protocol.Truncated, Stamp: protocol.Stamp{Time: 3, Began: 3, Position: 20}}},
		"gaps with the other's between": {"SsSC", 0, 4, Part{N: 4, Missing: true, Why: protocol.Lost, Stamp: protocol.Stamp{Time: 4, Began: 4, Position: 30}}},
		"a gap that has been read":      {"CC", 1, 2, Part{N: 2, Missing: true, Why: protocol.Lost, Stamp: protocol.Stamp{Time: 2, Began: 2, Position: 10}}},
		"one more call":                 {calls + "c", 0, MaxParts, Part{N: MaxParts, Stamp: protocol.Stamp{Time: MaxParts, Began: MaxParts, Position: 10 * (MaxParts - 1)}}},
		"too many calls":                {calls + "cc", 0, MaxParts, Part{N: 2*MaxParts + 1, Stamp: protocol.Stamp{Time: MaxParts + 1, Began: MaxParts + 1, Position: 10 * (MaxParts - 1)}}},
		"a call after a gap":            {calls + "Cc", 0, MaxParts + 1, Part{N: MaxParts + 1, Stamp: protocol.Stamp{Time: MaxParts + 1, Began: MaxParts + 1, Position: 10 * MaxParts}}},
	} {
		p := kept(x.script, x.from)
		last := p[len(p)-1]
		if last.Direction = 0; len(p) != x.count || last != x.last {
			t.Errorf("%s: %d parts, the last is %+v", name, len(p), last)
		}
	}
}

func TestPartsAreBounded(t *testing.T) {
	p := kept(strings.Repeat("c", 1000), 0)
	if len(p) != MaxParts || p.Full() {
		t.Errorf("%d parts", len(p))
	}
	for n := range 2 * MaxParts {
		if p := kept(strings.Repeat("cC", n), 0); p.Full() != (n >= MaxParts) {
			t.Error(fmt.Sprint(n, " gaps: ", len(p), " parts"))
		}
	}
}
