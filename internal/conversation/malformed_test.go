package conversation_test

import (
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// failures are the names and the errors of a conversation's exchanges.
type failures []string

func (*failures) Begin(protocol.ID, *protocol.Request)       {}
func (*failures) Continue(protocol.ID, *protocol.Carried)    {}
func (*failures) Requested(protocol.ID, *protocol.Stamp)     {}
func (*failures) Forget(protocol.ID)                         {}
func (f *failures) Emit(_ protocol.ID, x *protocol.Exchange) { *f = append(*f, x.Name+" "+x.Error) }
func (f *failures) Omit(*protocol.Exchange)                  {}

// Two sides that do not speak the same protocol, whoever comes first.
func TestResponsesOfAnotherProtocol(t *testing.T) {
	const upgrade = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\nUpgrade: h2c\r\n\r\n"
	const ping = "*1\r\n$4\r\nPING\r\n"
	for name, test := range map[string]struct {
		calls []call
		want  []string
	}{
		"HTTP/1, of HTTP/2":             {[]call{gets(upgrade), sends(settings)}, []string{"GET malformed_response"}},
		"HTTP/1, of HTTP/2, which came": {[]call{sends(settings), gets(upgrade)}, []string{"GET malformed_response"}},
		"HTTP/1, of nothing known":      {[]call{gets(get), sends("HTP/1.1 200 OK\r\n\r\n")}, []string{"GET malformed_response"}},
		"HTTP/1, of Redis":              {[]call{gets(get), sends("-ERR unknown command\r\n")}, []string{"GET malformed_response"}},
		"HTTP/2, of HTTP/1":             {[]call{gets(get2), sends("HTTP/1.1 400 Bad Request\r\n\r\n")}, []string{"GET malformed_response"}},
		"Redis, of HTTP/1":              {[]call{gets(ping), sends("HTTP/1.1 400 Bad Request\r\n\r\n")}, []string{"PING malformed_response"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got failures
			_, c := begin(t, &got, 1<<20)
			play(c, test.calls, 1<<20)
			c.End(&event.Ending{}, 1_000_000, 0, conversation.CloserLocal)
			if !slices.Equal(got, test.want) {
				t.Errorf("emitted %q, want %q", got, test.want)
			}
		})
	}
}
