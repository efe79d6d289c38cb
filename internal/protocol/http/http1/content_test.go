package http1

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// contents are those of the requests that have begun.
type contents struct {
	protocoltest.Discard
	all []uint64
}

func (c *contents) Begin(r *protocol.Request) protocol.ID {
	c.all = append(c.all, r.Content)
	return c.Discard.Begin(r)
}

func TestRequestsForTheSameHaveTheSameContent(t *testing.T) {
	c := &contents{}
	p := start(testLimits)(&protocol.Session{Side: protocol.Server, Sink: c})
	for _, bytes := range []string{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/1.0\r\nhost: y\r\nVia: z\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n", "PUT /a HTTP/1.1\r\n\r\n", "GET /a?b HTTP/1.1\r\n\r\n",
	} {
		p.Data(&protocol.Chunk{Direction: protocol.FromClient, Bytes: []byte(bytes), Stamp: protocol.Stamp{Time: 1}})
	}
	require.Len(t, c.all, 5)
	assert.Equal(t, c.all[0], c.all[1])
	for _, other := range c.all[2:] {
		assert.NotEqual(t, c.all[0], other)
	}
	assert.NotContains(t, c.all, uint64(0))
	assert.Zero(t, contentOf([]byte("GET"), nil))
}
