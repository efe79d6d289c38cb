package http

import (
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
)

// The attributes of exchanges: those of HTTP, then those of gRPC, then the listed header fields.
const (
	requestMethod         = iota
	requestMethodOriginal // only beside _OTHER
	urlFull               // set for clients; redacted
	urlScheme             // set for servers, as are path and query
	urlPath
	urlQuery // redacted
	userAgentOriginal
	responseStatusCode
	httpRoute   // set for servers, if a pattern matches the path
	urlTemplate // likewise for clients

	rpcSystemName
	rpcMethod             // package.Service/Method
	rpcMethodOriginal     // only beside _OTHER
	rpcResponseStatusCode // by name: OK, NOT_FOUND

	firstListed
)

var fixedKeys = [firstListed]protocol.Key{
	requestMethod:         {Name: string(semconv.HTTPRequestMethodKey), Metric: true},
	requestMethodOriginal: {Name: string(semconv.HTTPRequestMethodOriginalKey)},
	responseStatusCode:    {Name: string(semconv.HTTPResponseStatusCodeKey), Type: protocol.Int, Metric: true},
	httpRoute:             {Name: string(semconv.HTTPRouteKey), Metric: true},
	urlTemplate:           {Name: string(semconv.URLTemplateKey), Metric: true},
	urlFull:               {Name: string(semconv.URLFullKey)},
	urlScheme:             {Name: string(semconv.URLSchemeKey), Metric: true},
	urlPath:               {Name: string(semconv.URLPathKey)},
	urlQuery:              {Name: string(semconv.URLQueryKey)},
	userAgentOriginal:     {Name: string(semconv.UserAgentOriginalKey)},
	rpcSystemName:         {Name: string(semconv.RPCSystemNameKey), Metric: true},
	rpcMethod:             {Name: string(semconv.RPCMethodKey), Metric: true},
	rpcMethodOriginal:     {Name: string(semconv.RPCMethodOriginalKey)},
	rpcResponseStatusCode: {Name: string(semconv.RPCResponseStatusCodeKey), Metric: true},
}

// Prefixes of the attributes of listed header fields.
var (
	requestHeaderPrefix    = string(semconv.HTTPRequestHeader("").Key)
	responseHeaderPrefix   = string(semconv.HTTPResponseHeader("").Key)
	requestMetadataPrefix  = string(semconv.RPCRequestMetadata("").Key)
	responseMetadataPrefix = string(semconv.RPCResponseMetadata("").Key)
)

// Keys are the attributes of exchanges under a configuration, which is a *Config.
func Keys(config any) []protocol.Key {
	keys := append([]protocol.Key(nil), fixedKeys[:]...)
	headers := &config.(*Config).Headers
	for _, list := range [...]struct {
		names             []string
		prefix, rpcPrefix string
	}{
		{headers.Request, requestHeaderPrefix, requestMetadataPrefix},
		{headers.Response, responseHeaderPrefix, responseMetadataPrefix},
	} {
		for _, prefix := range [...]string{list.prefix, list.rpcPrefix} {
			for _, name := range canonical(list.names) {
				keys = append(keys, protocol.Key{Name: prefix + name, Type: protocol.List})
			}
		}
	}
	return keys
}

// protocolName is network.protocol.name of gRPC too: gRPC is a use of HTTP/2, not another protocol beside it.
const protocolName = "http"

// unknownMethodName is the span name if the method is not known: the conventions demand a constant.
const unknownMethodName = "HTTP"

var otherMethod = []byte("_OTHER")

// commonMethods are those of RFC 9110, 9.1, PATCH (RFC 5789) and QUERY (httpbis-safe-method-w-body). Methods are case-sensitive
// (RFC 9110, 9.1).
var commonMethods = []string{"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"}

// methodNames are the known methods of a configuration.
type methodNames map[string]string

func newMethodNames(config *Config) methodNames {
	known := config.KnownMethods
	if known == nil {
		known = commonMethods
	}
	names := methodNames{}
	for _, method := range known {
		names[method] = method
	}
	return names
}

// of returns a method as a constant, "" if it is not known.
func (n methodNames) of(method []byte) string { return n[string(method)] }

const (
	firstStatus = 100 // RFC 9110, 15: a status code has three digits
	lastStatus  = 999
)

// statusTexts are the status codes as text, so that an error costs no allocation.
var statusTexts = func() (texts [lastStatus + 1]string) {
	var digits []byte
	for code := firstStatus; code <= lastStatus; code++ {
		digits = append(digits, byte('0'+code/100), byte('0'+code/10%10), byte('0'+code%10))
	}
	all := string(digits)
	for code := firstStatus; code <= lastStatus; code++ {
		texts[code], all = all[:3], all[3:]
	}
	return texts
}()
