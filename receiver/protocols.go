package receiver

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/socketflow/socketflow/internal/protocol/registry"
)

// ProtocolsConfig has the configuration of each protocol whose requests become spans, by its name.
type ProtocolsConfig map[string]any

const protocolsKey = "protocols"

// Unmarshal reads a configuration. Protocols are a map or, if none is configured, a list of names.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	keys := conf.ToStringMap()
	var chosen ProtocolsConfig
	protocols, found := keys[protocolsKey]
	written, err := checkForm(keys, reflect.TypeFor[Config](), "")
	if found {
		var wrong error
		chosen, wrong = readProtocols(protocols)
		err = errors.Join(err, wrong)
	}
	if err != nil {
		return err
	}
	rest := confmap.New()
	if err := rest.Merge(conf); err != nil {
		return err
	}
	rest.Delete(protocolsKey)
	leaveDefaults(rest)
	type plain Config // without this method
	if err := rest.Unmarshal((*plain)(c)); err != nil {
		return written.explain(err, "")
	}
	if found {
		c.Protocols = chosen
	}
	return nil
}

// leaveDefaults removes the keys without a value, of which the collector would make zeros.
func leaveDefaults(conf *confmap.Conf) {
	for _, key := range conf.AllKeys() {
		if conf.Get(key) == nil {
			conf.Delete(key)
		}
	}
}

// partOf are names that users may look for, and what they belong to.
var partOf = map[string]string{
	"grpc": "; gRPC is part of http", "http1": "; it is part of http", "http2": "; it is part of http", "mdns": "; mDNS is part of dns",
	"valkey": "; it is part of redis", "pgbouncer": "; it is part of postgresql", "mariadb": "; it is part of mysql", "ssl": "; it is part of tls",
}

// meant says what an unknown name is taken to mean, if anything.
func meant(name string) string {
	if part := partOf[strings.ToLower(name)]; part != "" {
		return part
	}
	if near := nearest(name, registry.Names()); near != "" {
		return "; write " + near
	}
	return ""
}

func readProtocols(value any) (ProtocolsConfig, error) {
	chosen := ProtocolsConfig{}
	choose := func(name string, settings map[string]any) error {
		config, known := registry.Configs()[name]
		if !known {
			return fmt.Errorf("%s: %q is not known; known are %s%s", protocolsKey, name, listed(registry.Names()), meant(name))
		}
		if _, none := config.(*struct{}); none && len(settings) > 0 {
			return fmt.Errorf("%s::%s: nothing can be configured of it; write %s: {}", protocolsKey, name, name)
		}
		path := join(protocolsKey, name)
		written, err := checkForm(settings, reflect.TypeOf(config).Elem(), path)
		if err != nil {
			return err
		}
		part := confmap.NewFromStringMap(settings)
		leaveDefaults(part)
		if err := part.Unmarshal(config); err != nil {
			return written.explain(fmt.Errorf("%s: %w", path, err), path)
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
				return nil, protocolsForm("a list with " + shown(entry))
			}
			if _, twice := chosen[name]; twice {
				errs = append(errs, listedTwice(protocolsKey, name))
				continue
			}
			errs = append(errs, choose(name, nil))
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			of, ok := value[name].(map[string]any)
			if !ok && value[name] != nil {
				errs = append(errs, fmt.Errorf("%s::%s: write {} or a map of its keys, or leave %s out, not %s", protocolsKey, name, name, shown(value[name])))
				continue
			}
			errs = append(errs, choose(name, of))
		}
	default:
		return nil, protocolsForm(shown(value))
	}
	return chosen, errors.Join(errs...)
}

func protocolsForm(written string) error {
	return fmt.Errorf("%s: write a list of names such as [http], [] for connections only, or a map such as {http: {headers: …}}; "+
		"known are %s; not %s", protocolsKey, listed(registry.Names()), written)
}
