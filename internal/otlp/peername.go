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

// awaitName notes that the peer of a report may have a name that is not known yet.
func (b *Builder) awaitName(r *report, attributes pcommon.Map) {
	if r.connection.PeerQuestion.At != 0 && r.conditions&(isClient|hasServer) == isClient && b.options.PeerName != nil {
		b.unnamed = append(b.unnamed, unnamed{attributes, r.connection.PeerQuestion})
		b.latestQuestion = max(b.latestQuestion, r.connection.PeerQuestion.At)
	}
}

// LatestQuestion is the time of the latest question about a peer in the batch; 0: there is none. See peername.Question.
func (b *Builder) LatestQuestion() uint64 { return b.latestQuestion }

// namePeers names the peers of the batch whose names have become known.
func (b *Builder) namePeers() {
	for _, u := range b.unnamed {
		name, _ := b.options.PeerName(u.question)
		if name == "" {
			continue
		}
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
	clear(b.unnamed)
	b.unnamed, b.latestQuestion = b.unnamed[:0], 0
}
