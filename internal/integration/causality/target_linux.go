package main

import (
	"fmt"
	"regexp"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// target is what a path names: a request to the service, or one of the calls that it makes for it.
type target struct {
	request int
	call    int // itself: the request
}

const itself = -1

// targetPattern matches the end of /r/12 and /c/12/0, and of their gRPC methods r.R/12 and c.C/12-0.
var targetPattern = regexp.MustCompile(`(?:^|/)(?:r(?:\.R)?/(\d{1,9})|c(?:\.C)?/(\d{1,9})[/-](\d))$`)

// parseTarget finds the target in a path, a URL or a gRPC method.
func parseTarget(text string) (t target, ok bool) {
	match := targetPattern.FindStringSubmatch(text)
	if match == nil {
		return t, false
	}
	t.call = itself
	t.request, _ = strconv.Atoi(match[1] + match[2])
	if match[3] != "" {
		t.call, _ = strconv.Atoi(match[3])
	}
	return t, true
}

// path is that of the target, of HTTP or of a gRPC method.
func (t target) path(grpc bool) string {
	switch {
	case t.call == itself && grpc:
		return fmt.Sprintf("/r.R/%d", t.request)
	case t.call == itself:
		return fmt.Sprintf("/r/%d", t.request)
	case grpc:
		return fmt.Sprintf("/c.C/%d-%d", t.request, t.call)
	}
	return fmt.Sprintf("/c/%d/%d", t.request, t.call)
}

// targetOf finds the target in the attributes of a span.
func targetOf(attributes pcommon.Map) (target, bool) {
	for _, key := range [...]string{"url.path", "url.full", "rpc.method", "rpc.method_original"} {
		if value, exists := attributes.Get(key); exists {
			if t, ok := parseTarget(value.Str()); ok {
				return t, true
			}
		}
	}
	return target{}, false
}
