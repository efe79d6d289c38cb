package configschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

type schema = map[string]any

// fromElsewhere is text that the collector replaces before the receiver sees it: ${env:NAME}.
var fromElsewhere = schema{"type": "string", "pattern": `\$\{[^}]+\}`}

const (
	sizePattern     = `^[0-9]+(\.[0-9]+)? ?([kKmMgG][iI]?)?[bB]?$`
	durationPattern = `^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`
	zeroPattern     = `^[0.nuµmsh]*$` // of a duration: no digit but 0
	portsPattern    = `^ *[0-9]{1,5} *(- *[0-9]{1,5} *)?$`
)

// JSON is the schema of a collector's file in which the receiver has every key.
func JSON(top *Key) ([]byte, error) {
	file := schema{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "OpenTelemetry Collector configuration with the socketflow receiver",
		"description": "Only the part of the socketflow receiver is described. Made by make generate.",
		"type":        "object",
		"properties": schema{"receivers": schema{
			"type":              []string{"object", "null"},
			"patternProperties": schema{"^socketflow(/.*)?$": schema{"$ref": "#/$defs/socketflow"}},
		}},
		"$defs": schema{"socketflow": top.schema()},
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(file)
	return out.Bytes(), err
}

func (k *Key) schema() schema {
	s := k.value()
	if k.Description != "" {
		s["description"] = k.Description
	}
	if k.Default != nil {
		s["default"] = k.Default
	}
	return s
}

func (k *Key) value() schema {
	switch k.kind {
	case section:
		s := schema{"type": []string{"object", "null"}, "additionalProperties": false}
		if properties := k.properties(); len(properties) > 0 {
			s["properties"] = properties
		}
		return s
	case protocols:
		return schema{"anyOf": []schema{
			{"type": []string{"object", "null"}, "properties": k.properties(), "additionalProperties": false},
			{"type": "array", "uniqueItems": true, "items": schema{"enum": k.names()}},
		}}
	case list:
		s := schema{"type": []string{"array", "null"}, "items": k.Element.schema()}
		if k.MaxElements > 0 {
			s["maxItems"] = k.MaxElements
		}
		if k.Element.Words != nil {
			s["uniqueItems"] = true
		}
		return s
	case text:
		if k.Words == nil {
			return schema{"type": []string{"string", "null"}}
		}
		return orElsewhere(schema{"enum": k.Words})
	case truth:
		return orElsewhere(schema{"type": "boolean"})
	case whole, number:
		return orElsewhere(k.numeric())
	case ports:
		return orElsewhere(schema{"type": "integer", "minimum": 1, "maximum": 65535}, schema{"type": "string", "pattern": portsPattern})
	case size:
		return orElsewhere(schema{"type": "integer", "minimum": 0}, schema{"type": "string", "pattern": sizePattern})
	case duration:
		form := schema{"type": "string", "pattern": durationPattern}
		if low, err := time.ParseDuration(k.Low); err == nil && low > 0 {
			form["not"] = schema{"pattern": zeroPattern}
		}
		return orElsewhere(form)
	default:
		panic(fmt.Sprintf("%s has no kind", k.Path))
	}
}

func (k *Key) numeric() schema {
	if k.Numbers != nil {
		return schema{"enum": k.Numbers}
	}
	s := schema{"type": "number"}
	if k.kind == whole {
		s["type"] = "integer"
	}
	// They are numbers, because the receiver's errors have them as it read them.
	s["minimum"], _ = strconv.ParseFloat(k.Low, 64)
	s["maximum"], _ = strconv.ParseFloat(k.High, 64)
	return s
}

// orElsewhere is one of some forms, or text that the collector replaces, or nothing, which is the default.
func orElsewhere(forms ...schema) schema {
	return schema{"anyOf": append(forms, fromElsewhere, schema{"type": "null"})}
}

func (k *Key) properties() schema {
	all := schema{}
	for _, below := range k.Keys {
		all[below.Name] = below.schema()
	}
	return all
}

func (k *Key) names() (all []string) {
	for _, below := range k.Keys {
		all = append(all, below.Name)
	}
	return all
}
