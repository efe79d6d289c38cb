package otlp

import (
	"encoding/binary"
	"net/netip"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// addressTexts remembers how addresses are written. An address is told many times, about a dozen times per connection
// alone, and writing it allocates; a host talks to few.
//
// It is a direct-mapped cache: its size is fixed, and a peer that comes from ever new addresses costs one allocation per
// address and evicts one other.
type addressTexts [512]struct {
	address netip.Addr
	text    string
}

func (t *addressTexts) of(address netip.Addr) string {
	raw := address.As16()
	sum := splitmix.Finalize(binary.LittleEndian.Uint64(raw[:8]) + splitmix.Gamma*binary.LittleEndian.Uint64(raw[8:]))
	slot := &t[sum%uint64(len(t))]
	if slot.address != address {
		slot.address, slot.text = address, address.String()
	}
	return slot.text
}
