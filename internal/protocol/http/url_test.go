package http

import (
	"fmt"
	"strings"
	"testing"
)

func TestAuthorities(t *testing.T) {
	long := strings.Repeat("a", maxHost)
	for text, want := range map[string]string{
		"example.com":         "example.com 80",
		"example.com:":        "example.com 80",
		"example.com:1":       "example.com 1",
		"example.com:65535":   "example.com 65535",
		"10.0.0.1:08080":      "10.0.0.1 8080",
		"my_host-1.x":         "my_host-1.x 80",
		"[::1]":               "::1 80",
		"[2001:DB8::1]:258":   "2001:DB8::1 258",
		"[::ffff:10.0.0.1]:8": "::ffff:10.0.0.1 8",
		"u:p@h:5":             "h 5",
		long:                  long + " 80",

		"": "", ":80": "", "example.com:0": "", "example.com:65536": "", "example.com:999999": "", "h:-1": "", "h:1x": "",
		"::1": "", "[::1": "", "[::1]x": "", "[::1]:x": "", "[]": "", "[host]": "", "[1:2]": "", "[fe80::1%25eth0]": "",
		"a b": "", "a/b": "", "h<script>": "", "é": "", "user:password": "", "u:p@": "", long + "a": "", "a,b": "",
	} {
		x := filled(server, "GET /\nHost: "+text+"\n")
		got := ""
		if x.Server != "" {
			got = fmt.Sprint(x.Server, " ", x.ServerPort)
		}
		if got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}

func TestSchemesHaveTheirPorts(t *testing.T) {
	for scheme, want := range map[string]uint16{"http": 80, "https": 443, "ws": 80, "WSS": 443, "gopher": 0, "1": 80} {
		if x := filled(server, "GET /\n:authority h\n:scheme "+scheme+"\n"); x.ServerPort != want {
			t.Errorf("%s has port %d, want %d", scheme, x.ServerPort, want)
		}
	}
}
