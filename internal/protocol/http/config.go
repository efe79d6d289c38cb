package http

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Config is what can be configured of HTTP/1, HTTP/2 and gRPC.
type Config struct {
	// Headers are recorded as attributes of spans. Default: none.
	Headers HeadersConfig `mapstructure:"headers"`

	// KnownMethods lists the methods that are named, in upper case, at most 64 of 32 bytes; all others are _OTHER. It takes the place of
	// the default; an empty list names none. Default (nil): those of RFC 9110, PATCH and QUERY.
	KnownMethods []string `mapstructure:"known_methods"`

	// Routes are patterns of paths, which give requests http.route, url.template and the names of their spans: /items/{id}, /static/{rest...}; at most 256
	// of 512 bytes. A segment in braces stands for any one, a last one with three dots for any rest. The first one that matches counts. Default: none.
	Routes []string `mapstructure:"routes"`

	// Propagators are the forms in which requests may name the trace that they belong to: tracecontext (W3C), b3 (single and multiple fields),
	// jaeger, datadog, xray, gcp, skywalking. If a request has several, the first of the list counts. An empty list: none. Default (nil): all, in this order.
	Propagators []string `mapstructure:"propagators"`

	// Forwarded makes Forwarded, X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host give client.address, url.scheme and
	// server.address of a SERVER span. Whoever sends a request can forge them. Default: false.
	Forwarded bool `mapstructure:"forwarded"`
}

// Validate reports what is wrong with the methods and the propagators.
func (c *Config) Validate() error {
	if len(c.KnownMethods) > maxMethods {
		return fmt.Errorf("known_methods: lists %d methods; write at most %d", len(c.KnownMethods), maxMethods)
	}
	errs := []error{validRoutes(c.Routes), validPropagators(c.Propagators)}
	for i, method := range c.KnownMethods {
		switch upper := strings.ToUpper(method); {
		case len(method) > maxMethod || !httpguts.ValidHeaderFieldName(method): // both are tokens (RFC 9110, 9.1 and 5.1)
			errs = append(errs, fmt.Errorf("known_methods: %q is no method; write one of at most %d bytes, such as GET or PROPFIND", method, maxMethod))
		case method != upper: // no registered method has a lower-case letter
			errs = append(errs, fmt.Errorf("known_methods: methods are case-sensitive; write %q, not %q", upper, method))
		case slices.Index(c.KnownMethods, method) < i:
			errs = append(errs, fmt.Errorf("known_methods: %q is listed twice; write it once", method))
		}
	}
	return errors.Join(errs...)
}

func validPropagators(names []string) error {
	var errs []error
	for i, name := range names {
		switch {
		case !slices.Contains(propagatorNames[:], name):
			errs = append(errs, fmt.Errorf("propagators: %q is not known; write one of %s", name, strings.Join(propagatorNames[:], ", ")))
		case slices.Index(names, name) < i:
			errs = append(errs, fmt.Errorf("propagators: %q is listed twice; write it once", name))
		}
	}
	return errors.Join(errs...)
}

// HeadersConfig lists header fields, in any case, each at most 64.
type HeadersConfig struct {
	// Request lists those that become http.request.header.<name>, and on gRPC rpc.request.metadata.<name>. Default: none.
	Request []string `mapstructure:"request"`

	// Response lists those that become http.response.header.<name>, and on gRPC rpc.response.metadata.<name>. Default: none.
	Response []string `mapstructure:"response"`

	// Unredacted lists those of both lists whose values are recorded as they are. Of the others, the values of Authorization,
	// Proxy-Authorization, Cookie, Set-Cookie and of fields whose names are those of secrets are REDACTED, as is the query of Referer, and
	// what is secret in URLs and parameters. Default: none.
	Unredacted []string `mapstructure:"unredacted"`
}

// NewConfig returns the default configuration, a *Config.
func NewConfig() any { return &Config{} }

const (
	maxHeaders = 64
	maxMethods = 64
)

// Validate reports everything that is wrong with the lists.
func (c *HeadersConfig) Validate() error {
	errs := []error{headerNames("request", c.Request), headerNames("response", c.Response), headerNames("unredacted", c.Unredacted)}
	listed := canonical(append(slices.Clone(c.Request), c.Response...))
	for _, name := range canonical(c.Unredacted) {
		if !slices.Contains(listed, name) {
			errs = append(errs, fmt.Errorf("unredacted: %q is not recorded; add it to request or response", name))
		}
	}
	return errors.Join(errs...)
}

func headerNames(key string, names []string) error {
	if len(names) > maxHeaders {
		return fmt.Errorf("%s: lists %d header fields; write at most %d", key, len(names), maxHeaders)
	}
	var errs []error
	for i, name := range names {
		switch {
		case strings.Contains(name, "*"): // allowed in names (RFC 9110, 5.1), and in none that is registered
			errs = append(errs, fmt.Errorf("%s: %q is a pattern; write the whole name of each header field", key, name))
		case !httpguts.ValidHeaderFieldName(name):
			errs = append(errs, fmt.Errorf("%s: %q is no name of a header field; write one such as x-request-id", key, name))
		}
		if slices.IndexFunc(names, func(other string) bool { return strings.EqualFold(name, other) }) < i {
			errs = append(errs, fmt.Errorf("%s: %q is listed twice, the case of letters does not matter; write it once", key, name))
		}
	}
	return errors.Join(errs...)
}

// canonical returns the names in lower case, each once.
func canonical(names []string) []string {
	var out []string
	for _, name := range names {
		if name = strings.ToLower(name); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
