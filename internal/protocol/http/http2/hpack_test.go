package http2

import (
	"bytes"
	"testing"
)

func TestRepresentations(t *testing.T) {
	for name, test := range map[string]struct {
		bytes  []byte
		want   representation
		how    progress
		reason string
	}{
		"indexed":                       {[]byte{0x82, 0xff}, representation{kind: indexed, index: 2, length: 1}, complete, "6.1"},
		"index 0":                       {[]byte{0x80}, representation{}, invalid, "6.1"},
		"an index of two bytes":         {[]byte{0xff, 0x00}, representation{kind: indexed, index: 127, length: 2}, complete, "5.1"},
		"1337 with a prefix of 5 bits":  {[]byte{0x3f, 0x9a, 0x0a}, representation{kind: update, index: 1337, length: 3}, complete, "C.1.2"},
		"an integer that goes on":       {[]byte{0xff, 0x80, 0x80}, representation{}, incomplete, "5.1"},
		"an integer that is too long":   {bytes.Repeat([]byte{0xff}, 11), representation{}, invalid, "5.1"},
		"a table of no size":            {[]byte{0x20}, representation{kind: update, length: 1}, complete, "6.3"},
		"an indexed name":               {[]byte{0x44, 1, 'a'}, representation{kind: incremental, index: 4, length: 3, value: span{2, 3, false}}, complete, "6.2.1"},
		"a new name":                    {[]byte{0x40, 1, 'a', 0x81, 0x1f}, representation{kind: incremental, length: 5, name: span{2, 3, false}, value: span{4, 5, true}}, complete, "6.2.1"},
		"without indexing":              {[]byte{0x04, 1, 'a'}, representation{kind: literal, index: 4, length: 3, value: span{2, 3, false}}, complete, "6.2.2"},
		"never indexed":                 {[]byte{0x14, 1, 'a'}, representation{kind: literal, index: 4, length: 3, value: span{2, 3, false}}, complete, "6.2.3"},
		"a name without its end":        {[]byte{0x40, 2, 'a'}, representation{}, incomplete, "5.2"},
		"a name without a value":        {[]byte{0x40, 1, 'a'}, representation{}, incomplete, "5.2"},
		"a value without its end":       {[]byte{0x40, 1, 'a', 2, 'b'}, representation{}, incomplete, "5.2"},
		"a name that is too long":       {[]byte{0x40, 11, 'a'}, representation{kind: incremental, length: 2, oversized: 11, nameless: true}, complete, "5.2"},
		"a value that is too long":      {[]byte{0x44, 11}, representation{kind: incremental, index: 4, length: 2, oversized: 11}, complete, "5.2"},
		"a value of an impossible size": {[]byte{0x44, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, representation{kind: incremental, index: 4, length: 11, oversized: 1<<63 + 126}, complete, "5.2"},
		"nothing":                       {nil, representation{}, incomplete, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, how := parseRepresentation(test.bytes, 10)
			if how != test.how {
				t.Fatalf("progress %d, want %d (RFC 7541, %s)", how, test.how, test.reason)
			}
			if how == complete && r != test.want {
				t.Errorf("%+v\nwant %+v (RFC 7541, %s)", r, test.want, test.reason)
			}
		})
	}
}
