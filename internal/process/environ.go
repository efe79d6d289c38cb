package process

import (
	"bytes"
	"net/url"
	"strings"
)

// environment has the two variables that are kept of a process's environment. The rest may be secret.
type environment struct {
	serviceName        string // value of OTEL_SERVICE_NAME
	resourceAttributes string // value of OTEL_RESOURCE_ATTRIBUTES
}

// parseEnviron finds the two variables in an environment block of NUL-terminated entries. The first entry of a name counts,
// as for getenv(3). cut says that the block is only the beginning, so that its last entry may be incomplete: an incomplete
// service name would name another service and is left out; an incomplete list of attributes keeps its complete pairs.
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

// wholePairs drops the part after the last comma, which is an incomplete pair.
func wholePairs(list string) string {
	return list[:max(0, strings.LastIndexByte(list, ','))]
}

// orElse takes each variable that e lacks from other. Some processes (PostgreSQL, nginx) overwrite their arguments and their
// environment with a title: /proc no longer shows the variables, but the snapshot may still have them.
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
// and returns service.name separately. If a key is repeated, the last value counts, in the place of the first.
//
// The specification asks an SDK to discard the whole value if it has an error. SDKs do not: opentelemetry-go keeps the other
// pairs, and leaves a value that it cannot decode unchanged. The service name must be the same here as in the process's own
// SDK. So a pair without "=" is skipped, and a stray "%" stays.
func parseResourceAttributes(list string) (attributes []Attribute, serviceName string) {
	for pair := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(pair, "=")
		key = decode(key)
		if !ok || key == "" || len(key) > maxAttributeKey {
			continue // a truncated key would be another key
		}
		key, value = text(key, maxAttributeKey), decode(value)
		if key == "service.name" {
			serviceName = label(value)
			continue
		}
		attributes = set(attributes, Attribute{Key: key, Value: text(value, maxAttributeValue), Cut: len(value) > maxAttributeValue})
	}
	return attributes, serviceName
}

// set replaces the attribute with the key of a, or appends a, up to maxAttributes.
func set(attributes []Attribute, a Attribute) []Attribute {
	for i := range attributes {
		if attributes[i].Key == a.Key {
			attributes[i] = a
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
