package otlp

import (
	"encoding/binary"
	"net/netip"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// addressTexts caches the text of addresses. A connection emits an address about a dozen times, and formatting it allocates.
// Most hosts have few peers.
//
// It is a direct-mapped cache of fixed size: a new address costs one allocation and evicts one other.
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
