// Package registry lists the protocols that are parsed. A new protocol is one more line here.
package registry

import (
	"slices"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http/http1"
	"github.com/socketflow/socketflow/internal/protocol/http/http2"
)

// all is in the order of detection: protocols that the first byte distinguishes come first.
var all = []func() protocol.Protocol{
	http2.Protocol,
	http1.Protocol,
}

// Names of the protocols, each once, in order.
func Names() []string {
	var names []string
	for _, p := range all {
		if name := p().Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Named returns the protocols with these names.
func Named(names []string) []protocol.Protocol {
	var chosen []protocol.Protocol
	for _, p := range all {
		if made := p(); slices.Contains(names, made.Name) {
			chosen = append(chosen, made)
		}
	}
	return chosen
}
