package protocoltest

import "github.com/socketflow/socketflow/internal/protocol"

// Settings are those of a protocol with a configuration, nil: the default.
func Settings(p protocol.Protocol, config any, limits protocol.Limits) *protocol.Settings {
	configured, err := protocol.Configure(p, config, limits)
	if err != nil {
		panic(err)
	}
	return configured.Settings
}

// Attributes are those of an exchange, by name: a string, an int64 or a []string.
func Attributes(x *protocol.Exchange) map[string]any {
	all := make(map[string]any)
	if x.Keys == nil {
		return all
	}
	for i, key := range x.Keys.All() {
		if !x.Mask.Has(i) {
			continue
		}
		switch v := x.Value(i); key.Type {
		case protocol.Text:
			all[key.Name] = string(v.Text)
		case protocol.Int:
			all[key.Name] = v.Int
		case protocol.List:
			all[key.Name] = append([]string(nil), v.List...)
		}
	}
	return all
}
