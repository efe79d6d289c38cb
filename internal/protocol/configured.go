package protocol

import "fmt"

// Configured is a protocol with the settings of its conversations.
type Configured struct {
	Protocol
	Settings *Settings
}

// Configure gives a protocol its configuration, which NewConfig has made; nil: the default.
func Configure(p Protocol, config any, limits Limits) (Configured, error) {
	if config == nil && p.NewConfig != nil {
		config = p.NewConfig()
	}
	var all []Key
	if p.Keys != nil {
		all = p.Keys(config)
	}
	keys, err := NewKeys(all)
	if err != nil {
		return Configured{}, fmt.Errorf("protocol %s: %w", p.Name, err)
	}
	return Configured{p, &Settings{Config: config, Keys: keys, Limits: limits}}, nil
}
