package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
)

func (l *learnedRoutes) of(path string, learn bool) string {
	return string(l.appendRoute(nil, []byte(path), learn))
}

func TestSegmentsThatLookLikeIDsAreParameters(t *testing.T) {
	l := newLearnedRoutes()
	for path, want := range map[string]string{
		"/":                 "/",
		"/items":            "/items",
		"/items/42":         "/items/{}",
		"/items/":           "/items/",
		"/items/42/parts":   "/items/{}/parts",
		"/v1/users/me":      "/v1/users/me",
		"/orders/2026-0042": "/orders/{}",
		"/o/0af76519-16cd-43dd-8448-eb211c80319c/x": "/o/{}/x",
		"/f/3e25960a79dbc69b674cd4ec67a72c62":       "/f/{}",
		"/mail/a@b.test":                            "/mail/{}",
		"/search/caf%C3%A9":                         "/search/{}",
		"/a/b/c/d/e/f/g/h/i/j":                      "/a/b/c/d/e/f/g/{}",
		"/" + strings.Repeat("x", 40):               "/{}",
		"":                                          "/",
	} {
		assert.Equal(t, want, l.of(path, true), path)
		assert.Equal(t, want, l.of(path, true), "%s, once more", path)
	}
}

// TestManyNamesAtOnePlaceAreAParameter: also those that were known before.
func TestManyNamesAtOnePlaceAreAParameter(t *testing.T) {
	l := newLearnedRoutes()
	for i := range maxChildren + 10 {
		name := string(rune('a'+i%26)) + strings.Repeat("z", i/26+1)
		l.of("/users/"+name+"/orders", true)
	}
	assert.Equal(t, "/users/{}/orders", l.of("/users/az/orders", true))
	assert.Equal(t, "/users/{}/orders", l.of("/users/new/orders", true))
	assert.Equal(t, "/users", l.of("/users", true))
}

// TestWhatAServerDoesNotHaveIsNoRoute: scanners ask for anything.
func TestWhatAServerDoesNotHaveIsNoRoute(t *testing.T) {
	l := newLearnedRoutes()
	l.of("/items", true)
	assert.Equal(t, "/{}", l.of("/wp-admin", false))
	assert.Equal(t, "/items/{}", l.of("/items/.env", false))
	assert.Equal(t, "/items", l.of("/items", false))
}

func TestLearnedRoutesAreBounded(t *testing.T) {
	l := newLearnedRoutes()
	seen := map[string]bool{}
	for i := range 100_000 {
		a, b, c := word(i), word(i/7), word(i/11)
		seen[l.of("/"+a+"/"+b+"/"+c, true)] = true
	}
	assert.LessOrEqual(t, l.nodes, maxNodes+maxSegments)
	assert.Less(t, len(seen), 2*maxNodes)
}

// word is one without digits.
func word(i int) string {
	var b strings.Builder
	for i = i%20_000 + 1; i > 0; i /= 20 {
		b.WriteByte(byte('a' + i%20))
	}
	return b.String()
}

func TestKnownRoutesTakeNoMemory(t *testing.T) {
	l := newLearnedRoutes()
	path, route := []byte("/api/items/42/parts"), make([]byte, 0, 64)
	l.appendRoute(route, path, true)
	assert.Zero(t, testing.AllocsPerRun(100, func() { l.appendRoute(route, path, true) }))
}

// TestServersHaveLearnedRoutes, the same in all shards, unless a pattern gives one.
func TestServersHaveLearnedRoutes(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.LearnRoutes = true }), 0)
	shards := []*Recorder{s.Recorder(nobody), s.Recorder(nobody)}
	p := shop(7)
	for i := range 100 {
		x := get(200, func(x *protocol.Exchange) { x.SetText(1, fmt.Appendf(nil, "/items/%d", i)) })
		measure(t, shards[i%2], serving(p), x, second)
		shards[i%2].Exchanged(calling(p), x, time.Millisecond, second)
	}
	for _, r := range shards {
		r.HandOver(second, nil)
	}
	all := collect(s, second)
	const of = "7 http.server.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1 http.route=/items/{}"
	assert.EqualValues(t, 100, all[of].count)
	assert.Len(t, all, 2, "and one of the client: %v", names(all))
}
