package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/peername"
)

// serverAddressByDNS is a value of socketflow.server.address.source.
const serverAddressByDNS = "dns"

// unnamed is telemetry of a client that names its peer by address. When the batch is taken, more is known than when it was emitted.
type unnamed struct {
	attributes pcommon.Map
	question   peername.Question
}

// awaitsName reports whether the peer of a report may have a name that is not known yet.
func (b *Builder) awaitsName(r *report) bool {
	return r.connection.PeerQuestion.At != 0 && r.conditions&(isClient|hasServer) == isClient && b.options.PeerName != nil
}

// namedBytes is by how many bytes a name makes a record or a span larger at the most: two attributes have it, and another says so.
const namedBytes = 2*255 + 64

// roomForName is the room for a name that may come.
func (b *Builder) roomForName(r *report) int {
	if b.awaitsName(r) {
		return namedBytes
	}
	return 0
}

// awaitName notes that the peer of a report may have a name that is not known yet.
func (b *Builder) awaitName(r *report, attributes pcommon.Map) {
	if b.awaitsName(r) {
		b.unnamed = append(b.unnamed, unnamed{attributes, r.connection.PeerQuestion})
		b.latestQuestion = max(b.latestQuestion, r.connection.PeerQuestion.At)
	}
}

// namePeers names the peers of a batch whose names have become known.
func (b *Builder) namePeers(c *content) {
	for _, u := range c.unnamed {
		name, _ := b.options.PeerName(u.question)
		if name == "" {
			continue
		}
		name = sound(name)
		for _, key := range [...]string{serverAddress, netPeerName} {
			if v, found := u.attributes.Get(key); found {
				v.SetStr(name)
			}
		}
		if b.options.Addresses == AddressV112 { // which names no peer by address
			u.attributes.PutStr(netPeerName, name)
		}
		u.attributes.PutStr(serverAddressSource, serverAddressByDNS)
	}
	clear(c.unnamed)
	c.unnamed = c.unnamed[:0]
}
