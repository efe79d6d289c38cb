package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

func TestLookedCovers(t *testing.T) {
	const walked, inhabited, dead = 1, 2, 3 // network namespaces
	var tcp, unix [event.Transports]bool
	tcp[event.TCP], unix[event.UnixStream] = true, true
	namespaces := map[uint32]bool{walked: true}
	for name, test := range map[string]struct {
		looked Looked
		tcp    []uint32 // namespaces in which it is known of TCP connections
	}{
		"nobody looked":                      {Looked{}, nil},
		"not all processes are seen":         {Looked{Within: tcp, Walked: namespaces}, []uint32{walked}},
		"one namespace could not be entered": {Looked{Within: tcp, Walked: namespaces, Inhabited: map[uint32]bool{walked: true, inhabited: true}}, []uint32{walked, dead}},
		"everywhere":                         {Looked{Everywhere: tcp}, []uint32{walked, inhabited, dead}},
		"of Unix sockets only":               {Looked{Everywhere: unix, Within: unix, Walked: namespaces}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var covered []uint32
			for netns := range uint32(4) {
				if netns > 0 && test.looked.Covers(event.TCP, netns) {
					covered = append(covered, netns)
				}
			}
			assert.Equal(t, test.tcp, covered)
			assert.False(t, test.looked.Covers(event.UDP, walked))
		})
	}
}
