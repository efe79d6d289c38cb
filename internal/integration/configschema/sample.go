package configschema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// examples are of the keys that have no default.
var examples = map[string]string{
	"include":                                 `[{executable: "/usr/sbin/{nginx,haproxy}"}, {local_port: "8000-8999"}, {cgroup_path: "/kubepods.slice/**"}]`,
	"exclude":                                 `[{remote_port: 22}, {container_id: "0123456789ab"}, {pid: 4711}]`,
	"protocols::http::headers::request":       "[x-request-id, authorization]",
	"protocols::http::headers::response":      "[server]",
	"protocols::http::headers::unredacted":    "[authorization]",
	"protocols::http::known_methods":          "[GET, POST, PROPFIND]",
	"protocols::http::routes":                 `["/items/{id}", "/static/{rest...}"]`,
	"protocols::http::propagators":            "[tracecontext, b3]",
	"protocols::fastcgi::headers::request":    "[x-request-id]",
	"protocols::fastcgi::headers::response":   "[x-powered-by]",
	"protocols::fastcgi::headers::unredacted": "[x-request-id]",
	"protocols::fastcgi::known_methods":       "[GET, POST]",
	"protocols::fastcgi::routes":              `["/items/{id}"]`,
	"protocols::fastcgi::propagators":         "[tracecontext, b3]",
	"redaction::secret_names":                 "[tenant]",
	"redaction::safe_names":                   "[page_token]",
	"trace::observed_networks":                `[10.0.0.0/8, "fd00::/8"]`,
	"metrics::peers":                          "[{name: billing, cidr: 10.1.0.0/16, port: 8443}]",
}

// lineWidth is how long a comment's lines are.
const lineWidth = 120

// sample writes a configuration that has every key.
type sample struct {
	out  strings.Builder
	used int
	// filled says whether keys without a default have their examples.
	filled bool
}

// Sample is a collector's file with every key of the receiver at its default, and with the examples of those that have none: in comments, or,
// if it is to be filled, as values.
func Sample(top *Key, filled bool) ([]byte, error) {
	s := sample{filled: filled}
	s.out.WriteString(`# Every key of the receiver with its default, and examples of those that have none: made by make generate from the
# receiver's types and checks. A configuration needs none of them: take over what is to be another.
#
#   otelcol-socketflow validate --config docs/all-keys.yaml
#
# yaml-language-server: $schema=config.schema.json
receivers:
  socketflow:
`)
	for _, k := range top.Keys {
		s.write(k, "    ")
	}
	if s.used != len(examples) {
		return nil, fmt.Errorf("%d of %d examples are of keys; take out the others", s.used, len(examples))
	}
	s.out.WriteString(`
exporters:
  debug:

service:
  pipelines:
    traces: {receivers: [socketflow], exporters: [debug]}
    logs: {receivers: [socketflow], exporters: [debug]}
    metrics: {receivers: [socketflow], exporters: [debug]}
`)
	return []byte(s.out.String()), nil
}

func (s *sample) write(k *Key, indent string) {
	if k.kind == section && len(k.Keys) == 1 && k.Keys[0].kind == truth { // a resource attribute
		s.comment(k.Description, indent)
		fmt.Fprintf(&s.out, "%s%s: {%s: %v}\n", indent, k.Name, k.Keys[0].Name, k.Keys[0].Default)
		return
	}
	if len(indent) == 4 {
		s.out.WriteByte('\n')
	}
	s.comment(k.Description+k.rangeText(), indent)
	switch {
	case len(k.Keys) > 0:
		fmt.Fprintf(&s.out, "%s%s:\n", indent, k.Name)
		for _, below := range k.Keys {
			s.write(below, indent+"  ")
		}
	case k.kind == section:
		fmt.Fprintf(&s.out, "%s%s: {}\n", indent, k.Name)
	case k.Default == nil:
		s.used++
		form := "%s%s: # for example %s\n"
		if s.filled {
			form = "%s%s: %s\n"
		}
		fmt.Fprintf(&s.out, form, indent, k.Name, examples[k.Path])
	default:
		value, _ := json.Marshal(k.Default)
		fmt.Fprintf(&s.out, "%s%s: %s\n", indent, k.Name, strings.ReplaceAll(plain(string(value)), ",", ", "))
	}
}

// plain is JSON without quotation marks, which no default needs in YAML.
func plain(value string) string { return strings.ReplaceAll(value, `"`, "") }

// rangeText is what can be written, where the comment of the type does not say it.
func (k *Key) rangeText() string {
	if k.High == "" || strings.Contains(k.Description, k.High) {
		return ""
	}
	return fmt.Sprintf(" %s to %s.", k.Low, k.High)
}

// comment writes lines of a comment.
func (s *sample) comment(words, indent string) {
	line := indent + "#"
	for _, word := range strings.Fields(words) {
		if len(line)+1+len(word) > lineWidth {
			s.out.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	if line != indent+"#" {
		s.out.WriteString(line + "\n")
	}
}
