package otlp

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv112 "go.opentelemetry.io/otel/semconv/v1.12.0"
	semconv120 "go.opentelemetry.io/otel/semconv/v1.20.0"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
)

// translation makes an attribute of earlier conventions of an exchange's own.
type translation struct {
	key     string
	presets presets
	// from are the attributes that it is made of and stands for: of the first that is there, and of the second, if it is there.
	from     [2]string
	protocol string // "": any that has no translation of its own
	put      func(v pcommon.Value, r *report, a *ownAttribute)
}

// translations are applied in this order. What they do not mention has no name in those conventions and keeps the current one.
var translations = []translation{
	{string(semconv120.HTTPMethodKey), inEarlier, [2]string{string(semconv.HTTPRequestMethodOriginalKey), string(semconv.HTTPRequestMethodKey)}, "", putText},
	{string(semconv120.HTTPMethodKey), inEarlier, [2]string{string(semconv.HTTPRequestMethodKey)}, "", putText},
	{string(semconv120.HTTPStatusCodeKey), inEarlier, [2]string{string(semconv.HTTPResponseStatusCodeKey)}, "", putInt},
	{string(semconv120.HTTPURLKey), inEarlier, [2]string{string(semconv.URLFullKey)}, "", putText},
	{string(semconv120.HTTPSchemeKey), inEarlier, [2]string{string(semconv.URLSchemeKey)}, "", putText},
	{string(semconv120.HTTPTargetKey), inEarlier, [2]string{string(semconv.URLPathKey), string(semconv.URLQueryKey)}, "", putTarget},
	{string(semconv112.HTTPUserAgentKey), inV112, [2]string{string(semconv.UserAgentOriginalKey)}, "", putText},

	{string(semconv120.RPCSystemKey), inEarlier, [2]string{string(semconv.RPCSystemNameKey)}, "", putText},
	{string(semconv120.RPCServiceKey), inEarlier, [2]string{string(semconv.RPCMethodOriginalKey), string(semconv.RPCMethodKey)}, "", putService},
	{string(semconv120.RPCServiceKey), inEarlier, [2]string{string(semconv.RPCMethodKey)}, "", putService},
	{string(semconv120.RPCMethodKey), inEarlier, [2]string{string(semconv.RPCMethodOriginalKey)}, "", putMethod},
	{string(semconv120.RPCMethodKey), inEarlier, [2]string{string(semconv.RPCMethodKey)}, "", putMethod},
	{string(semconv120.RPCGRPCStatusCodeKey), inEarlier, [2]string{string(semconv.RPCResponseStatusCodeKey)}, "", putGRPCStatus},

	{string(semconv120.DBSystemKey), inEarlier, [2]string{string(semconv.DBSystemNameKey)}, "", putText},
	{string(semconv120.DBOperationKey), inEarlier, [2]string{string(semconv.DBOperationNameKey)}, "", putText},
	{string(semconv120.DBStatementKey), inEarlier, [2]string{string(semconv.DBQueryTextKey)}, "", putText},
	{string(semconv120.DBSQLTableKey), inEarlier, [2]string{string(semconv.DBCollectionNameKey)}, "", putText},
	{string(semconv120.DBRedisDBIndexKey), inEarlier, [2]string{string(semconv.DBNamespaceKey)}, "redis", putNumber},
	{string(semconv120.DBNameKey), inEarlier, [2]string{string(semconv.DBNamespaceKey)}, "", putText},
}

// renamedPrefixes are those of attributes whose last part is a header field's name, which had underscores for dashes.
var renamedPrefixes = []string{string(semconv.HTTPRequestHeader("").Key), string(semconv.HTTPResponseHeader("").Key)}

// ownAttributes are those of an exchange: as they are, or translated.
func ownAttributes(keys *protocol.Keys, mask *protocol.Mask, protocolName string, to []translation) (own []ownAttribute) {
	if keys == nil {
		return nil
	}
	all := keys.All()
	indexOf := func(name string) int {
		return slices.IndexFunc(all, func(k protocol.Key) bool { return name != "" && k.Name == name })
	}
	translated, claimed := map[int]bool{}, map[int]bool{} // claimed: by a translation of the protocol
	for _, t := range to {
		first, second := indexOf(t.from[0]), indexOf(t.from[1])
		if first < 0 || !mask.Has(first) || claimed[first] || t.protocol != "" && t.protocol != protocolName {
			continue
		}
		translated[first], claimed[first] = true, t.protocol != ""
		if second >= 0 && mask.Has(second) {
			translated[second] = true
		} else {
			second = -1
		}
		if !slices.ContainsFunc(own, func(a ownAttribute) bool { return a.key == t.key }) {
			own = append(own, ownAttribute{t.key, [2]int{first, second}, t.put})
		}
	}
	for i, k := range all {
		if mask.Has(i) && !translated[i] {
			own = append(own, ownAttribute{headerKey(k.Name, len(to) > 0), [2]int{i, -1}, putsByType[k.Type]})
		}
	}
	return own
}

func headerKey(name string, earlier bool) string {
	for _, prefix := range renamedPrefixes {
		if field, ok := strings.CutPrefix(name, prefix); ok && earlier {
			return prefix + strings.ReplaceAll(field, "-", "_")
		}
	}
	return name
}

// set writes a text, sound and within its bound.
func (a *ownAttribute) set(v pcommon.Value, r *report, text []byte) {
	v.SetStr(r.bound.interned(a.key, text, r.interned))
}

var putsByType = [...]func(pcommon.Value, *report, *ownAttribute){protocol.Text: putText, protocol.Int: putInt, protocol.List: putList}

func putText(v pcommon.Value, r *report, a *ownAttribute) {
	a.set(v, r, r.exchange.Value(a.values[0]).Text)
}

func putInt(v pcommon.Value, r *report, a *ownAttribute) { v.SetInt(r.exchange.Value(a.values[0]).Int) }

func putList(v pcommon.Value, r *report, a *ownAttribute) {
	texts := r.exchange.Value(a.values[0]).List
	list := v.SetEmptySlice()
	list.EnsureCapacity(len(texts))
	r.bound.bytes += len(texts) * elementBytes
	for _, text := range texts {
		list.AppendEmpty().SetStr(r.bound.text(a.key, text))
	}
}

// putTarget writes path and query as one.
func putTarget(v pcommon.Value, r *report, a *ownAttribute) {
	target := r.exchange.Value(a.values[0]).Text
	if a.values[1] >= 0 {
		target = r.interned.join(target, '?', r.exchange.Value(a.values[1]).Text)
	}
	a.set(v, r, target)
}

// putService writes the part of package.Service/Method before the last slash.
func putService(v pcommon.Value, r *report, a *ownAttribute) {
	name := r.exchange.Value(a.values[0]).Text
	a.set(v, r, name[:max(bytes.LastIndexByte(name, '/'), 0)])
}

func putMethod(v pcommon.Value, r *report, a *ownAttribute) {
	name := r.exchange.Value(a.values[0]).Text
	a.set(v, r, name[bytes.LastIndexByte(name, '/')+1:])
}

// grpcStatuses are the names of gRPC's status codes, by number (gRPC, statuscodes.md).
var grpcStatuses = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// putGRPCStatus writes the number of a status.
func putGRPCStatus(v pcommon.Value, r *report, a *ownAttribute) {
	name := r.exchange.Value(a.values[0]).Text
	for code, known := range grpcStatuses {
		if string(name) == known {
			v.SetInt(int64(code))
			return
		}
	}
	putNumber(v, r, a)
}

// putNumber writes a text of digits as a number.
func putNumber(v pcommon.Value, r *report, a *ownAttribute) {
	text := r.exchange.Value(a.values[0]).Text
	if number, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		v.SetInt(number)
		return
	}
	a.set(v, r, text)
}
