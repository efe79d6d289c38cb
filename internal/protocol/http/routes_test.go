package http

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

func TestRouteIsTheFirstThatMatches(t *testing.T) {
	all := newRoutes(&Config{Routes: []string{
		"/", "/items", "/items/{id}", "/items/{id}/parts/{part}", "/users/me", "/users/{name}", "/static/{rest...}", "/a/{b}/", "/{all...}",
	}})
	for path, want := range map[string]string{
		"/":                     "/",
		"/items":                "/items",
		"/items/42":             "/items/{id}",
		"/items/":               "/{all...}",
		"/items/42/parts/7":     "/items/{id}/parts/{part}",
		"/items/42/parts":       "/{all...}",
		"/items/42/parts/7/8":   "/{all...}",
		"/users/me":             "/users/me",
		"/users/you":            "/users/{name}",
		"/static/css/main.css":  "/static/{rest...}",
		"/static/":              "/static/{rest...}",
		"/static":               "/{all...}",
		"/a/b/":                 "/a/{b}/",
		"/a/b":                  "/{all...}",
		"":                      "",
		"*":                     "",
		"items":                 "",
		"/items/42/parts/7/":    "/{all...}",
		"/items//parts/7":       "/{all...}",
		"/%69tems/42":           "/{all...}",
		"/items/\xff\x00":       "/items/{id}",
		"/items/{id}":           "/items/{id}",
		"/static/../items/{id}": "/static/{rest...}",
	} {
		r := all.of([]byte(path))
		if want == "" {
			assert.Nil(t, r, path)
			continue
		}
		if assert.NotNil(t, r, path) {
			assert.Equal(t, want, string(r.pattern), path)
			assert.Equal(t, "GET "+want, r.name("GET"))
		}
	}
}

func TestMatchingARouteAllocatesNothing(t *testing.T) {
	all := newRoutes(&Config{Routes: []string{"/items/{id}/parts/{part}"}})
	path := []byte("/items/42/parts/7")
	assert.Zero(t, testing.AllocsPerRun(100, func() { all.of(path) }))
}

func TestRoutesThatAreNone(t *testing.T) {
	for pattern, want := range map[string]string{
		"items/{id}":       `routes: "items/{id}" is no pattern of a path; write one of at most 512 bytes such as /items/{id} or /static/{rest...}`,
		"/items/*":         `routes: "/items/*" is no pattern of a path; write one of at most 512 bytes such as /items/{id} or /static/{rest...}`,
		"/items?id={id}":   `routes: "/items?id={id}" is no pattern of a path; write one of at most 512 bytes such as /items/{id} or /static/{rest...}`,
		"/a/{rest...}/b":   `routes: "/a/{rest...}/b" goes on behind {…...; write that last`,
		"/items/{id}":      "",
		"/{all...}":        "",
		"/items/{unclosed": "",
	} {
		err := validRoutes([]string{pattern})
		if want == "" {
			assert.NoError(t, err, pattern)
		} else {
			assert.EqualError(t, err, want)
		}
	}
	assert.EqualError(t, validRoutes([]string{"/a", "/a"}), `routes: "/a" is listed twice; write it once`)
	assert.ErrorContains(t, validRoutes(make([]string, maxRoutes+1)), "lists 257 patterns; write at most 256")
}

// TestRouteNamesTheSpanAndTheSeries: at both ends, for methods that are known and those that are not.
func TestRouteNamesTheSpanAndTheSeries(t *testing.T) {
	config := &Config{Routes: []string{"/items/{id}"}}
	keys, err := protocol.NewKeys(Keys(config))
	require.NoError(t, err)
	pool := NewPool(&protocol.Settings{Config: config, Keys: keys})
	for name, tc := range map[string]struct {
		side                 protocol.Side
		method, target, want string
		key                  string
	}{
		"server":         {protocol.Server, "GET", "/items/42?page=2", "GET /items/{id}", "http.route"},
		"client":         {protocol.Client, "PUT", "/items/42", "PUT /items/{id}", "url.template"},
		"absolute form":  {protocol.Server, "GET", "http://shop.test/items/42", "GET /items/{id}", "http.route"},
		"unknown method": {protocol.Server, "BREW", "/items/42", "HTTP /items/{id}", "http.route"},
		"no route":       {protocol.Server, "GET", "/users/42", "GET", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := pool.Get(&protocol.Session{Side: tc.side}, new(Account))
			m.SetMethod([]byte(tc.method))
			m.SetTarget([]byte(tc.target))
			m.SetStatus(200)
			x := new(protocol.Exchange)
			m.Fill(x)
			assert.Equal(t, tc.want, x.Name)
			attributes := protocoltest.Attributes(x)
			for _, key := range []string{"http.route", "url.template"} {
				if key == tc.key {
					assert.Equal(t, "/items/{id}", attributes[key])
				} else {
					assert.NotContains(t, attributes, key)
				}
			}
		})
	}
}
