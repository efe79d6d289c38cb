package process

import (
	"bytes"
	"net/url"
	"strings"
)

// environment is all that is kept of a process's environment, which is full of secrets.
type environment struct {
	serviceName        string // value of OTEL_SERVICE_NAME
	resourceAttributes string // value of OTEL_RESOURCE_ATTRIBUTES
}

// parseEnviron finds the two variables in an environment block: NUL-terminated entries, of which the first of a name
// counts, as for getenv(3). cut says that the block goes on after its end, so that its last entry may be half an entry:
// a cut service name would be another service's and is left out, a cut list of attributes keeps its whole pairs.
func parseEnviron(block []byte, cut bool) environment {
	var env environment
	variables := [...]struct {
		prefix string
		value  *string
		mend   func(string) string
	}{
		{"OTEL_SERVICE_NAME=", &env.serviceName, func(string) string { return "" }},
		{"OTEL_RESOURCE_ATTRIBUTES=", &env.resourceAttributes, wholePairs},
	}
	var seen [len(variables)]bool
	for len(block) > 0 {
		entry, rest, terminated := bytes.Cut(block, []byte{0})
		block = rest
		for i, v := range variables {
			if seen[i] || !bytes.HasPrefix(entry, []byte(v.prefix)) {
				continue
			}
			seen[i] = true
			*v.value = string(entry[len(v.prefix):])
			if cut && !terminated {
				*v.value = v.mend(*v.value)
			}
		}
	}
	return env
}

// wholePairs drops what follows the last comma: the pair that a cut went through.
func wholePairs(list string) string {
	return list[:max(0, strings.LastIndexByte(list, ','))]
}

// orElse takes each variable that e lacks from other. A process that writes its title over its arguments and its
// environment (PostgreSQL, nginx) has lost the variables from /proc by then; the snapshot may still have them.
func (e environment) orElse(other environment) environment {
	if e.serviceName == "" {
		e.serviceName = other.serviceName
	}
	if e.resourceAttributes == "" {
		e.resourceAttributes = other.resourceAttributes
	}
	return e
}

// parseResourceAttributes decodes the value of OTEL_RESOURCE_ATTRIBUTES, "key1=value1,key2=value2" with percent
// encoding (https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable),
// and returns service.name apart. Of a repeated key the last value counts, at the place of the first.
//
// The specification asks an SDK to discard the whole value for one error in it. SDKs do not (opentelemetry-go keeps the
// other pairs, and a value that does not decode as it is), and a process that is named by its own SDK must not get
// another name here: so a pair without "=" is skipped and a stray "%" is itself.
func parseResourceAttributes(list string) (attributes []Attribute, serviceName string) {
	for pair := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(pair, "=")
		key = decode(key)
		if !ok || key == "" || len(key) > maxAttributeKey {
			continue // a cut key would be another key
		}
		key, value = text(key, maxAttributeKey), decode(value)
		if key == "service.name" {
			serviceName = label(value)
			continue
		}
		attributes = set(attributes, Attribute{Key: key, Value: text(value, maxAttributeValue)})
	}
	return attributes, serviceName
}

// set replaces the attribute of that key or appends it, up to maxAttributes.
func set(attributes []Attribute, a Attribute) []Attribute {
	for i := range attributes {
		if attributes[i].Key == a.Key {
			attributes[i].Value = a.Value
			return attributes
		}
	}
	if len(attributes) == maxAttributes {
		return attributes
	}
	return append(attributes, a)
}

func decode(s string) string {
	s = strings.TrimSpace(s)
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}
