package metrics

import (
	"net/netip"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/socket"
)

// Network is a name for what is there.
type Network struct {
	Name   string
	Prefix netip.Prefix
	Port   uint16 // of the servers there; 0: any
}

// peerName is what the other end of a connection is called: its service, if it is on this host; else, of a server, what DNS was asked for; else its
// network. "": it has no name.
func (r *Recorder) peerName(c *socket.Connection) string {
	if c.Peer != nil {
		return c.Peer.ServiceName
	}
	if c.PeerName != "" && c.Role == event.RoleClient {
		return c.PeerName
	}
	for i := range r.store.options.Peers {
		n := &r.store.options.Peers[i]
		if n.Prefix.Contains(c.Remote.Addr()) && (n.Port == 0 || n.Port == listeningPort(c)) {
			return n.Name
		}
	}
	return ""
}
