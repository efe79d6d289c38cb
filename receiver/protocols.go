package receiver

import (
	"errors"
	"fmt"
	"reflect"

	"go.opentelemetry.io/collector/confmap"

	"github.com/socketflow/socketflow/internal/protocol/registry"
)

// ProtocolsConfig has the configuration of each protocol whose requests become spans, by its name.
type ProtocolsConfig map[string]any

const protocolsKey = "protocols"

// Unmarshal reads a configuration. Protocols are a map or, if none is configured, a list of names.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	keys := conf.ToStringMap()
	if _, found := keys["headers"]; found {
		return errors.New("headers: belongs to a protocol now; write protocols: {http: {headers: …}}, and name there the other " +
			"protocols that are wanted")
	}
	protocols, found := keys[protocolsKey]
	delete(keys, protocolsKey)
	if err := wholeNumbers(keys, reflect.TypeFor[Config](), ""); err != nil {
		return err
	}
	type plain Config // without this method
	if err := confmap.NewFromStringMap(keys).Unmarshal((*plain)(c)); err != nil {
		return err
	}
	if !found {
		return nil
	}
	chosen, err := readProtocols(protocols)
	if err != nil {
		return err
	}
	c.Protocols = chosen
	return nil
}

// partOf are names that users may look for, and what they belong to.
var partOf = map[string]string{
	"grpc": "; gRPC is part of http", "http1": "; it is part of http", "http2": "; it is part of http", "mdns": "; mDNS is part of dns",
	"valkey": "; it is part of redis",
}

func readProtocols(value any) (ProtocolsConfig, error) {
	chosen := ProtocolsConfig{}
	choose := func(name string, settings map[string]any) error {
		config, known := registry.Configs()[name]
		if !known {
			return fmt.Errorf("%s: %q is not known; known are %q%s", protocolsKey, name, registry.Names(), partOf[name])
		}
		if _, none := config.(*struct{}); none && len(settings) > 0 {
			return fmt.Errorf("%s::%s: nothing can be configured of it; write %s: {}", protocolsKey, name, name)
		}
		if err := confmap.NewFromStringMap(settings).Unmarshal(config); err != nil {
			return fmt.Errorf("%s::%s: %w", protocolsKey, name, err)
		}
		chosen[name] = config
		return nil
	}
	var errs []error
	switch value := value.(type) {
	case nil:
		return registry.Configs(), nil
	case []any:
		for _, entry := range value {
			name, ok := entry.(string)
			if !ok {
				return nil, protocolsForm(value)
			}
			errs = append(errs, choose(name, nil))
		}
	case map[string]any:
		for name, settings := range value {
			of, ok := settings.(map[string]any)
			if !ok && settings != nil {
				return nil, protocolsForm(value)
			}
			errs = append(errs, choose(name, of))
		}
	default:
		return nil, protocolsForm(value)
	}
	return chosen, errors.Join(errs...)
}

func protocolsForm(value any) error {
	return fmt.Errorf("%s: write a list of names such as [http], [] for connections only, or a map such as {http: {headers: …}}; "+
		"known are %q; not %v", protocolsKey, registry.Names(), value)
}
