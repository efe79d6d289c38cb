package http

// These are all names that leave this package. They are those of the OpenTelemetry semantic conventions 1.43. A test of
// internal/otlp, which alone imports the constants, may compare them: see Names.
const (
	requestMethod         = "http.request.method"
	requestMethodOriginal = "http.request.method_original" // only beside _OTHER
	responseStatusCode    = "http.response.status_code"
	urlFull               = "url.full"   // set for clients; redacted
	urlScheme             = "url.scheme" // set for servers, as are path and query
	urlPath               = "url.path"
	urlQuery              = "url.query" // redacted
	userAgentOriginal     = "user_agent.original"

	rpcSystemName         = "rpc.system.name"
	rpcMethod             = "rpc.method"               // package.Service/Method
	rpcMethodOriginal     = "rpc.method_original"      // only beside _OTHER
	rpcResponseStatusCode = "rpc.response.status_code" // by name: OK, NOT_FOUND

	requestHeaderPrefix    = "http.request.header."
	responseHeaderPrefix   = "http.response.header."
	requestMetadataPrefix  = "rpc.request.metadata."
	responseMetadataPrefix = "rpc.response.metadata."
)

// Names are the attributes of exchanges, prefixes of names included.
func Names() []string {
	return []string{
		requestMethod, requestMethodOriginal, responseStatusCode, urlFull, urlScheme, urlPath, urlQuery, userAgentOriginal,
		rpcSystemName, rpcMethod, rpcMethodOriginal, rpcResponseStatusCode,
		requestHeaderPrefix, responseHeaderPrefix, requestMetadataPrefix, responseMetadataPrefix,
	}
}

// protocolName is network.protocol.name of gRPC too: gRPC is a use of HTTP/2, not another protocol beside it.
const protocolName = "http"

// unknownMethodName is the span name if the method is not known: the conventions demand a constant.
const unknownMethodName = "HTTP"

var otherMethod = []byte("_OTHER")

// methods are the known methods: those of RFC 9110, 9.1, PATCH (RFC 5789) and QUERY (httpbis-safe-method-w-body). They are
// case-sensitive (RFC 9110, 9.1).
var methods = [...]string{"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"}

// knownMethod returns the method as a constant, "" if it is not known.
func knownMethod(method []byte) string {
	for _, known := range methods {
		if string(method) == known {
			return known
		}
	}
	return ""
}

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
