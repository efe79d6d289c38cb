package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/peername"
)

// serverAddressByDNS is a value of socketflow.server.address.source.
const serverAddressByDNS = "dns"

// unnamed is telemetry of a client that has connected to an address of which DNS may have said something. When the batch is taken, more is known than when
// it was emitted.
type unnamed struct {
	attributes pcommon.Map
	question   peername.Question
	name       bool // it names its peer by address
	lookup     bool // it says how long its parts took
}

// awaitsName reports whether the peer of a report may have a name that is not known yet.
func (b *Builder) awaitsName(r *report) bool {
	return r.connection.PeerQuestion.At != 0 && r.conditions&(isClient|hasServer) == isClient && b.options.PeerName != nil
}

// awaitsLookup reports whether a client may have waited for a query before it connected that is not known yet.
func (b *Builder) awaitsLookup(r *report) bool {
	return r.connection.PeerQuestion.At != 0 && r.exchange != nil && b.options.Phases && r.opensConnection() && r.conditions&asks != 0 &&
		b.options.PeerName != nil
}

// namedBytes is by how many bytes a name makes a record or a span larger at the most: two attributes have it, and another says so.
const namedBytes = 2*255 + 64

// lookupBytes is by how many bytes at the most a span is larger that says how long a lookup took.
const lookupBytes = 64

// roomForName is the room for what may come of a name.
func (b *Builder) roomForName(r *report) (size int) {
	if b.awaitsName(r) {
		size += namedBytes
	}
	if b.awaitsLookup(r) {
		size += lookupBytes
	}
	return size
}

// awaitName notes that more may become known of the peer of a report.
func (b *Builder) awaitName(r *report, attributes pcommon.Map) {
	u := unnamed{attributes, r.connection.PeerQuestion, b.awaitsName(r), b.awaitsLookup(r)}
	if u.name || u.lookup {
		b.unnamed = append(b.unnamed, u)
		b.latestQuestion = max(b.latestQuestion, u.question.At)
	}
}

// namePeers names the peers of a batch whose names have become known.
func (b *Builder) namePeers(c *content) {
	for _, u := range c.unnamed {
		a, _ := b.options.PeerName(u.question)
		if u.lookup && a.Lookup != 0 {
			u.attributes.PutDouble(phaseResolving, a.Lookup.Seconds())
		}
		if !u.name || a.Name == "" {
			continue
		}
		name := sound(a.Name)
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
