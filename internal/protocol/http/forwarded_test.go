package http

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestForwarded(t *testing.T) {
	for name, c := range map[string]struct {
		headers        string
		client         string
		scheme, server string
		port           uint16
	}{
		"none":             {"", "", "http", "inner", 8080},
		"standard":         {`Forwarded: for=192.0.2.60;proto=https;host=shop.example.com, for=10.0.0.1`, "192.0.2.60:0", "https", "shop.example.com", 443},
		"standard, IPv6":   {`Forwarded: For="[2001:db8::1]:4711"; Host="shop.example.com:8443"`, "[2001:db8::1]:4711", "http", "shop.example.com", 8443},
		"standard, hidden": {`Forwarded: for=_secret;proto=https`, "", "https", "inner", 8080},
		"standard twice":   {"Forwarded: for=192.0.2.60\nForwarded: for=192.0.2.61;host=other", "192.0.2.60:0", "http", "inner", 8080},
		"standard first":   {"X-Forwarded-For: 10.9.9.9\nForwarded: for=192.0.2.60\nX-Forwarded-Proto: https", "192.0.2.60:0", "http", "inner", 8080},
		"customary": {
			"x-forwarded-for: 203.0.113.7, 10.0.0.1\nX-Forwarded-Proto: HTTPS\nX-Forwarded-Host: shop.example.com",
			"203.0.113.7:0", "https", "shop.example.com", 443,
		},
		"with a port":        {"X-Forwarded-For: 203.0.113.7:5050", "203.0.113.7:5050", "http", "inner", 8080},
		"mapped, with zone":  {"X-Forwarded-For: ::ffff:203.0.113.7", "203.0.113.7:0", "http", "inner", 8080},
		"bare IPv6":          {"X-Forwarded-For: 2001:db8::1", "[2001:db8::1]:0", "http", "inner", 8080},
		"no address":         {"X-Forwarded-For: unknown", "", "http", "inner", 8080},
		"no scheme, no host": {"X-Forwarded-Proto: 1\nX-Forwarded-Host: a b", "", "http", "inner", 8080},
		"too long": {
			"X-Forwarded-For: " + strings.Repeat("1", 100) + "\nX-Forwarded-Host: " + strings.Repeat("a", 600), "", "http", "inner", 8080,
		},
	} {
		for _, on := range []bool{true, false} {
			config := &Config{Forwarded: on}
			keys, err := protocol.NewKeys(Keys(config))
			if err != nil {
				t.Fatal(err)
			}
			m := NewPool(&protocol.Settings{Config: config, Keys: keys}).Get(&protocol.Session{Side: protocol.Server}, new(Account))
			apply(m, "GET /a\nHost: inner:8080\n"+c.headers)
			var x protocol.Exchange
			m.Fill(&x)
			want := c
			if !on {
				want.client, want.scheme, want.server, want.port = "", "http", "inner", 8080
			}
			var client netip.AddrPort
			if want.client != "" {
				client = netip.MustParseAddrPort(want.client)
			}
			if x.Client != client || string(x.Value(urlScheme).Text) != want.scheme || x.Server != want.server || x.ServerPort != want.port {
				t.Errorf("%s, %v: client %v, scheme %s, server %s:%d; want %v", name, on, x.Client, x.Value(urlScheme).Text, x.Server, x.ServerPort, want)
			}
		}
	}
}

func TestForwardedIsOfServersOnly(t *testing.T) {
	config := &Config{Forwarded: true}
	keys, err := protocol.NewKeys(Keys(config))
	if err != nil {
		t.Fatal(err)
	}
	m := NewPool(&protocol.Settings{Config: config, Keys: keys}).Get(&protocol.Session{Side: protocol.Client}, new(Account))
	apply(m, "GET /a\nHost: inner:8080\nX-Forwarded-For: 203.0.113.7\nX-Forwarded-Host: shop.example.com")
	var x protocol.Exchange
	if m.Fill(&x); x.Client.IsValid() || x.Server != "inner" {
		t.Errorf("client %v, server %s", x.Client, x.Server)
	}
}
