// Package registry lists the protocols that are parsed. A new protocol is one more line here.
package registry

import (
	"slices"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/dns"
	"github.com/socketflow/socketflow/internal/protocol/fastcgi"
	"github.com/socketflow/socketflow/internal/protocol/http/http1"
	"github.com/socketflow/socketflow/internal/protocol/http/http2"
	"github.com/socketflow/socketflow/internal/protocol/memcached"
	"github.com/socketflow/socketflow/internal/protocol/mongodb"
	"github.com/socketflow/socketflow/internal/protocol/mysql"
	"github.com/socketflow/socketflow/internal/protocol/postgres"
	"github.com/socketflow/socketflow/internal/protocol/proxyproto"
	"github.com/socketflow/socketflow/internal/protocol/redis"
	"github.com/socketflow/socketflow/internal/protocol/socks"
	"github.com/socketflow/socketflow/internal/protocol/tls"
)

var all = []func() protocol.Protocol{
	http2.Protocol,
	http1.Protocol,
	redis.Protocol,
	postgres.Protocol,
	mysql.Protocol,
	memcached.Protocol,
	mongodb.Protocol,
	fastcgi.Protocol,
	dns.Protocol,
	tls.Protocol,
}

// preambles may precede any protocol of streams. They are not configured: who parses anything wants to see what is behind them.
var preambles = []func() protocol.Protocol{
	proxyproto.Protocol,
	socks.Protocol,
	postgres.Encryption,
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

// Configs returns the default configuration of every protocol, by name. A protocol that has none has an empty struct.
func Configs() map[string]any {
	configs := make(map[string]any)
	for _, p := range all {
		made := p()
		if made.NewConfig != nil {
			configs[made.Name] = made.NewConfig()
		} else {
			configs[made.Name] = &struct{}{}
		}
	}
	return configs
}

// Configured returns the protocols that have a configuration, with it, and the preambles that may precede them.
func Configured(configs map[string]any, limits protocol.Limits) ([]protocol.Configured, error) {
	var chosen []protocol.Configured
	for _, p := range all {
		made := p()
		config, wanted := configs[made.Name]
		if !wanted {
			continue
		}
		configured, err := protocol.Configure(made, config, limits)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, configured)
	}
	if !slices.ContainsFunc(chosen, func(p protocol.Configured) bool { return p.Transports&protocol.Streams != 0 }) {
		return chosen, nil
	}
	for _, p := range preambles {
		configured, err := protocol.Configure(p(), nil, limits)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, configured)
	}
	return chosen, nil
}
