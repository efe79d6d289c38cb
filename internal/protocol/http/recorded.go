package http

import "github.com/socketflow/socketflow/internal/redact"

// appendValue appends the value of a recorded header field.
type appendValue func(to, value []byte) []byte

func appendWhole(to, value []byte) []byte { return append(to, value...) }

func appendRedacted(to, _ []byte) []byte { return append(to, redacted...) }

// redaction is how the values of a header field, whose name is in lower case, are written.
func redaction(name string, rules *redact.Rules) appendValue {
	if rules.IsSecretName([]byte(name)) {
		return appendRedacted
	}
	switch name {
	case "referer": // the query is that of another site (RFC 9110, 10.1.3)
		return rules.AppendReferrer
	case "location", "content-location", "origin", "x-original-url", "x-rewrite-url", "x-forwarded-uri":
		return rules.AppendURL
	default:
		return rules.AppendText
	}
}
