package dns

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestTokenIsThatOfTheQuery(t *testing.T) {
	const A, AAAA = dnsmessage.TypeA, dnsmessage.TypeAAAA
	token := func(session protocol.Session, query, response string) uint64 {
		if !session.Datagrams {
			query, response = framed(query), framed(response)
		}
		w := play(session, 10)
		w.Data(client, query)
		w.Data(server, response)
		return w.only(t).Token
	}
	query := token(unicast, wire(1, "a.test.", A), wire(1, "a.test.", A, answered(a(1))))
	assert.NotZero(t, query)
	assert.Equal(t, query, token(unicast, wire(1, "a.test.", A), wire(1, "a.test.", A, code(3))), "the response does not matter")
	for name, other := range map[string]uint64{
		"id":   token(unicast, wire(2, "a.test.", A), wire(2, "a.test.", A, answered())),
		"name": token(unicast, wire(1, "b.test.", A), wire(1, "b.test.", A, answered())),
		"type": token(unicast, wire(1, "a.test.", AAAA), wire(1, "a.test.", AAAA, answered())),
	} {
		assert.NotEqual(t, query, other, "another %s", name)
	}
	assert.Zero(t, token(tcp, wire(1, "a.test.", A), wire(1, "a.test.", A, answered())), "streams have positions")
}
