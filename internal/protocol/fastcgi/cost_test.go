package fastcgi

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// costs are turns of a conversation, each with a request.
var costs = map[string]struct{ request, response string }{
	"short": {get(1, "/a"), answers(1, okText)},
	"nginx": {asks(1, nginxParams...), answers(1, "Status: 404 Not Found\r\nX-Powered-By: PHP\r\nContent-Type: text/html\r\n\r\nnone")},
}

func turn(request, response string, piece int) func() {
	return protocoltest.Turn(Protocol(), limits, protocol.Server, nil, request, response, piece)
}

func TestExchangesNeedNoAllocation(t *testing.T) {
	for name, x := range costs {
		for _, piece := range []int{1 << 20, 8} {
			if n := testing.AllocsPerRun(100, turn(x.request, x.response, piece)); n != 0 {
				t.Errorf("%s in pieces of %d: %v allocations", name, piece, n)
			}
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for name, x := range costs {
		b.Run(name, func(b *testing.B) {
			run := turn(x.request, x.response, 1<<20)
			b.SetBytes(int64(len(x.request) + len(x.response)))
			for b.Loop() {
				run()
			}
		})
	}
}
