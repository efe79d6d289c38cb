package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

func TestCoverageCovers(t *testing.T) {
	const walked, inhabited, dead = 1, 2, 3 // network namespaces
	var tcp, unix [event.Transports]bool
	tcp[event.TCP], unix[event.UnixStream] = true, true
	namespaces := map[uint32]bool{walked: true}
	for name, test := range map[string]struct {
		coverage Coverage
		tcp      []uint32 // namespaces in which it is known of TCP connections
	}{
		"nothing known":              {Coverage{}, nil},
		"not all processes are seen": {Coverage{Within: tcp, Walked: namespaces}, []uint32{walked}},
		"one namespace could not be entered": {
			Coverage{Within: tcp, Walked: namespaces, Inhabited: map[uint32]bool{walked: true, inhabited: true}}, []uint32{walked, dead},
		},
		"everywhere":           {Coverage{Everywhere: tcp}, []uint32{walked, inhabited, dead}},
		"of Unix sockets only": {Coverage{Everywhere: unix, Within: unix, Walked: namespaces}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var covered []uint32
			for netns := range uint32(4) {
				if netns > 0 && test.coverage.Covers(event.TCP, netns) {
					covered = append(covered, netns)
				}
			}
			assert.Equal(t, test.tcp, covered)
			assert.False(t, test.coverage.Covers(event.UDP, walked))
		})
	}
}
