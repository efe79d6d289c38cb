package process

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOnlyTwoVariablesAreTakenFromAnEnvironment(t *testing.T) {
	cases := []struct {
		about string
		block []byte
		cut   bool
		want  environment
	}{
		{about: "none", block: nil},
		{about: "others", block: block("PATH=/bin", "DB_PASSWORD=hunter2", "OTEL_SERVICE_NAME_X=no")},
		{
			about: "both", block: block("A=1", "OTEL_SERVICE_NAME=checkout", "OTEL_RESOURCE_ATTRIBUTES=a=b,c=d", "Z=2"),
			want: environment{serviceName: "checkout", resourceAttributes: "a=b,c=d"},
		},
		{
			about: "the first of a name counts", block: block("OTEL_SERVICE_NAME=first", "OTEL_SERVICE_NAME=second"),
			want: environment{serviceName: "first"},
		},
		{about: "a value that looks like another entry", block: block("X=OTEL_SERVICE_NAME=no")},
		{
			about: "without the last NUL, whole", block: []byte("OTEL_SERVICE_NAME=checkout"),
			want: environment{serviceName: "checkout"},
		},
		{about: "a cut service name is another name", block: []byte("A=1\x00OTEL_SERVICE_NAME=check"), cut: true},
		{
			about: "cut after the name", block: block("OTEL_SERVICE_NAME=checkout"), cut: true,
			want: environment{serviceName: "checkout"},
		},
		{
			about: "cut attributes keep their whole pairs",
			block: []byte("OTEL_RESOURCE_ATTRIBUTES=service.name=checkout,team=shop,tier=ba"), cut: true,
			want: environment{resourceAttributes: "service.name=checkout,team=shop"},
		},
		{about: "cut in the first pair", block: []byte("OTEL_RESOURCE_ATTRIBUTES=service.name=che"), cut: true},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			equal(t, "environment", parseEnviron(c.block, c.cut), c.want)
		})
	}
}

func TestResourceAttributes(t *testing.T) {
	cases := []struct {
		list    string
		want    []Attribute
		service string
	}{
		{list: ""},
		{list: "team=shop,deployment.environment.name=production",
			want: []Attribute{{Key: "team", Value: "shop"}, {Key: "deployment.environment.name", Value: "production"}}},
		{list: "service.name=cart,team=shop", want: []Attribute{{Key: "team", Value: "shop"}}, service: "cart"},
		{list: " team = shop , x = y ", want: []Attribute{{Key: "team", Value: "shop"}, {Key: "x", Value: "y"}}},
		{list: "a=1%2C2%3D3,b%2Fc=%C3%A9", want: []Attribute{{Key: "a", Value: "1,2=3"}, {Key: "b/c", Value: "é"}}},
		{list: "a=b=c", want: []Attribute{{Key: "a", Value: "b=c"}}},
		{list: "plus=a+b", want: []Attribute{{Key: "plus", Value: "a+b"}}},
		{list: "load=100%,team=shop", want: []Attribute{{Key: "load", Value: "100%"}, {Key: "team", Value: "shop"}}},
		{list: "empty=,=nokey,novalue,,team=shop", want: []Attribute{{Key: "empty", Value: ""}, {Key: "team", Value: "shop"}}},
		{list: "a=1,b=2,a=3", want: []Attribute{{Key: "a", Value: "3"}, {Key: "b", Value: "2"}}},
		{list: "bytes=%FF%FE!", want: []Attribute{{Key: "bytes", Value: "\uFFFD!"}}},
		{list: "service.name=%20cart%20", service: "cart"},
	}
	for _, c := range cases {
		t.Run(c.list, func(t *testing.T) {
			got, service := parseResourceAttributes(c.list)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			equal(t, "service.name", service, c.service)
		})
	}
}

func TestResourceAttributesAreBounded(t *testing.T) {
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("key%d=%s", i, strings.Repeat("é", 1000)))
	}
	list = append(list, strings.Repeat("k", 257)+"=v", "service.name=last")
	got, service := parseResourceAttributes(strings.Join(list, ","))
	equal(t, "count", len(got), 64)
	equal(t, "value", got[0].Value, strings.Repeat("é", 512))
	equal(t, "the value is cut", got[0].Cut, true)
	fits, _ := parseResourceAttributes("a=" + strings.Repeat("v", maxAttributeValue))
	equal(t, "a value that fits is cut", fits[0].Cut, false)
	equal(t, "service.name beyond the bound", service, "last")
	got, _ = parseResourceAttributes(strings.Repeat("k", 257) + "=v," + strings.Repeat("k", 256) + "=v")
	equal(t, "keys that fit", len(got), 1)
}

func FuzzEnviron(f *testing.F) {
	f.Add(block("A=1", "OTEL_SERVICE_NAME=checkout", "OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=%20x"), false)
	f.Add([]byte("OTEL_RESOURCE_ATTRIBUTES=a=%FF,b=%,=,c"), true)
	f.Add([]byte("OTEL_SERVICE_NAME=\xff\xfe"), true)
	f.Fuzz(func(t *testing.T, block []byte, cut bool) {
		env := parseEnviron(block, cut)
		attributes, attributeName := parseResourceAttributes(env.resourceAttributes)
		if len(attributes) > maxAttributes {
			t.Errorf("%d attributes", len(attributes))
		}
		for _, a := range attributes {
			if a.Key == "" || len(a.Key) > maxAttributeKey || len(a.Value) > maxAttributeValue ||
				!utf8.ValidString(a.Key) || !utf8.ValidString(a.Value) {
				t.Errorf("attribute %+v", a)
			}
		}
		var i Info
		i.nameService(env.serviceName, attributeName, "")
		if i.ServiceName == "" || len(i.ServiceName) > maxName || !utf8.ValidString(i.ServiceName) {
			t.Errorf("service name %q", i.ServiceName)
		}
	})
}
