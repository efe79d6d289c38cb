package http

import (
	"bytes"
	"net/netip"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// forwarded is what proxies say of the request that the first of them has received, by the field Forwarded (RFC 7239) or else by
// X-Forwarded-*. They can be forged by whoever sends the request.
type forwarded struct {
	standard bool // it is from Forwarded
	client   netip.AddrPort
	scheme   piece
	host     piece
}

// forward keeps a header field if it is one of a proxy's. Of several values the first counts: it is of the first proxy.
func (m *Message) forward(name, value []byte) {
	first, _, _ := bytes.Cut(value, comma)
	first = trim(first)
	switch {
	case ascii.Is(name, "forwarded"):
		if f := m.ofProxies(); !f.standard {
			*f = forwarded{standard: true}
			m.forwardElement(first)
		}
	case m.forwarded != nil && m.forwarded.standard:
	case ascii.Is(name, "x-forwarded-for"):
		m.ofProxies().setClient(first)
	case ascii.Is(name, "x-forwarded-proto"):
		m.forwardScheme(first)
	case ascii.Is(name, "x-forwarded-host"):
		m.forwardHost(first)
	}
}

func (m *Message) ofProxies() *forwarded {
	if m.forwarded == nil {
		m.forwarded = new(forwarded)
	}
	return m.forwarded
}

// forwardElement reads "for=192.0.2.60;proto=https;host=example.com" (RFC 7239, 4).
func (m *Message) forwardElement(element []byte) {
	for len(element) > 0 {
		var pair []byte
		pair, element, _ = bytes.Cut(element, semicolon)
		name, value, _ := bytes.Cut(trim(pair), equals)
		value = bytes.TrimSuffix(bytes.TrimPrefix(value, quote), quote)
		switch {
		case ascii.Is(name, "for"):
			m.ofProxies().setClient(value)
		case ascii.Is(name, "proto"):
			m.forwardScheme(value)
		case ascii.Is(name, "host"):
			m.forwardHost(value)
		}
	}
}

var semicolon, equals, quote = []byte{';'}, []byte{'='}, []byte{'"'}

// maxClient is the length of the longest address with a port: "[" 39 bytes "]:65535".
const maxClient = 47

// setClient takes an address with or without a port. Other names (RFC 7239, 6.3: unknown, _hidden) are none.
func (f *forwarded) setClient(value []byte) {
	if f.client.IsValid() || len(value) > maxClient {
		return
	}
	if both, err := netip.ParseAddrPort(string(value)); err == nil {
		f.client = netip.AddrPortFrom(both.Addr().Unmap().WithZone(""), both.Port())
		return
	}
	value = bytes.TrimSuffix(bytes.TrimPrefix(value, []byte{'['}), []byte{']'})
	if address, err := netip.ParseAddr(string(value)); err == nil {
		f.client = netip.AddrPortFrom(address.Unmap().WithZone(""), 0)
	}
}

func (m *Message) forwardScheme(value []byte) {
	if f := m.ofProxies(); f.scheme.empty() && len(value) <= maxScheme {
		f.scheme = m.keep(value, maxScheme)
	}
}

func (m *Message) forwardHost(value []byte) {
	if f := m.ofProxies(); f.host.empty() && len(value) <= maxAuthority {
		f.host = m.keep(value, maxAuthority)
	}
}

// putForwarded replaces what the request says by what its proxies say.
func (m *Message) putForwarded(x *protocol.Exchange, l *location) {
	f := m.forwarded
	if f == nil {
		return
	}
	x.Client = f.client
	if scheme := m.bytes(f.scheme); lowerScheme(scheme) {
		l.scheme = scheme
	}
	if named := parseAuthority(m.bytes(f.host)); len(named.host) > 0 {
		l.authority = named
	}
	if len(l.host) > 0 && !l.explicit {
		l.port = defaultPort(l.scheme)
	}
}
