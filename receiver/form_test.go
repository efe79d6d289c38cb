package receiver

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/socketflow/socketflow/internal/protocol/registry"
)

// place is where a value can be written, as the names of keys; a list holds one element.
type place struct {
	path []string
	of   reflect.Type
}

func places(of reflect.Type, path []string) (all []place) {
	for _, k := range keyedOf(of) {
		at := slices.Concat(path, []string{k.key})
		if k.key == protocolsKey && len(path) == 0 {
			continue // their configurations are places of their own
		}
		all = append(all, place{at, k.of})
		switch {
		case k.of.Kind() == reflect.Slice && k.of.Elem().Kind() == reflect.Struct:
			all = append(all, places(k.of.Elem(), append(at, "0"))...)
		case k.of.Kind() == reflect.Slice:
			all = append(all, place{append(at, "0"), k.of.Elem()})
		case k.of.Kind() == reflect.Struct && !reflect.PointerTo(k.of).Implements(readerType):
			all = append(all, places(k.of, at)...)
		}
	}
	return all
}

// with is a configuration with one value.
func with(path []string, value any) map[string]any {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == "0" {
			value = []any{value}
		} else {
			value = map[string]any{path[i]: value}
		}
	}
	return value.(map[string]any)
}

// completePeer adds to a peer what it needs beside a key.
func completePeer(written map[string]any, key string) {
	metrics, _ := written["metrics"].(map[string]any)
	peers, _ := metrics["peers"].([]any)
	if len(peers) == 0 || key == "0" || key == "peers" {
		return
	}
	peer := peers[0].(map[string]any)
	for key, value := range map[string]any{"name": "billing", "cidr": "10.0.0.0/8"} {
		if _, found := peer[key]; !found {
			peer[key] = value
		}
	}
}

// internals are words of Go and of the libraries that read configurations. No user has to know them.
var internals = regexp.MustCompile(`unconvertible|expected type|expected a|mapstructure|strconv|reflect|interface|u?int(8|16|32|64)|float64|nil\b|unmarshal|receiver\.`)

// TestWrongValueOfEachKey: whatever is written for a key, it is accepted, or refused by an error that names the key and says what to write.
func TestWrongValueOfEachKey(t *testing.T) {
	all := places(reflect.TypeFor[Config](), nil)
	for name, config := range registry.Configs() {
		path := []string{protocolsKey, name}
		all = append(all, place{path, nil})
		all = append(all, places(reflect.TypeOf(config).Elem(), path)...)
	}
	require.Greater(t, len(all), 100, "the keys are found")
	values := map[string]any{
		"text": "x?", "empty text": "", "number in text": "10", "number": 10, "negative number": -7, "large number": uint64(1 << 63),
		"fraction": 1.5, "truth value": true, "list": []any{1}, "list of text": []any{"x?", "x?"}, "list of lists": []any{[]any{1}},
		"list of nothing": []any{nil}, "list of maps": []any{map[string]any{"a": 1}}, "map": map[string]any{"a": 1}, "empty map": map[string]any{},
	}
	refused := 0
	for _, place := range all {
		for name, value := range values {
			path := strings.Join(place.path, "::")
			written := with(place.path, value)
			completePeer(written, place.path[len(place.path)-1])
			_, err := load(t, confmap.NewFromStringMap(written))
			if err == nil {
				continue
			}
			refused++
			message := strings.TrimPrefix(err.Error(), decoding)
			key := strings.TrimSuffix(path, "::0")
			key = key[strings.LastIndexByte(key, ':')+1:]
			assert.Contains(t, message, key, "%s as %s", name, path)
			assert.NotRegexp(t, internals, message, "%s as %s", name, path)
			assert.Regexp(t, `\b(write|known|set at least|add it to)\b`, message, "%s as %s", name, path)
		}
	}
	require.Greater(t, refused, 10*len(all), "most values are wrong")
}

// TestExplainLeavesOtherErrors: an error of the collector that is about another value stays as it is.
func TestExplainLeavesOtherErrors(t *testing.T) {
	f := &form{doubtful: map[string]error{"include::0::executable": errors.New("ours")}}
	theirs := fmt.Errorf("'include[1].executable' expected type 'string'")
	assert.Equal(t, theirs, f.explain(theirs, ""))
	assert.EqualError(t, f.explain(fmt.Errorf("'include[0].executable' expected type 'string'"), ""), "ours")
	assert.NoError(t, f.explain(nil, ""))
}
