package conversation_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// parents keeps the span that each exchange has for its parent, as it is known when the request has been read and when the exchange ends.
type parents struct {
	listener
	carried, ended []string
	texts          []string
}

func (p *parents) Continue(_ protocol.ID, c *protocol.Carried) {
	p.carried = append(p.carried, hex.EncodeToString(c.Parent.SpanID[:]))
}

func (p *parents) Emit(_ protocol.ID, x *protocol.Exchange) {
	if x.Parent.Valid() {
		p.ended = append(p.ended, hex.EncodeToString(x.Parent.SpanID[:]))
	}
	for i, key := range x.Keys.All() {
		if key.Type == protocol.Text && x.Mask.Has(i) {
			p.texts = append(p.texts, string(x.Value(i).Text))
		}
	}
}

// TestACommentInAQueryNamesItsParent, as a header of HTTP does, and is in no attribute.
func TestACommentInAQueryNamesItsParent(t *testing.T) {
	const sql = "SELECT 1 /*action='pay',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/"
	for name, turns := range map[string][]string{
		"PostgreSQL": {
			"\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I",
			"Q\x00\x00\x00" + string(rune(4+len(sql)+1)) + sql + "\x00", "C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I",
		},
		"MySQL": {
			"", mysqlHello, "\x25\x00\x00\x01\x85\xa6\xff\x01\x00\x00\x00\x01\xff" + zeros(23) + "root\x00", "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00",
			string(rune(1+len(sql))) + "\x00\x00\x00\x03" + sql, "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00",
		},
	} {
		p := &parents{listener: *newListener(t)}
		c := p.shard.Begin(nil, conversation.Connection{Cookie: 1, Role: event.RoleClient}, p)
		var position [event.Directions]uint64
		for i, turn := range turns {
			if turn == "" {
				continue
			}
			d := event.Direction(i % 2)
			c.Data(&event.Event{Kind: event.KindData, Time: uint64(i + 1), Data: event.Data{
				Direction: d, Position: position[d], Length: uint32(len(turn)), Payload: []byte(turn),
			}})
			position[d] += uint64(len(turn))
		}
		c.Abandon(100)
		assert.Equal(t, []string{"b7ad6b7169203331"}, p.carried, name)
		assert.Equal(t, []string{"b7ad6b7169203331"}, p.ended, name)
		for _, text := range p.texts {
			assert.False(t, strings.Contains(text, "pay") || strings.Contains(text, "b7ad"), "%s: %s", name, text)
		}
	}
}
