package http

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestSecretsOfQueries(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "",
		"q=OpenTelemetry":                    "q=OpenTelemetry",
		"q=OpenTelemetry&sig=abc":            "q=OpenTelemetry&sig=REDACTED",
		"sig=abc&q=1":                        "sig=REDACTED&q=1",
		"sig=":                               "sig=REDACTED",
		"sig":                                "sig",
		"sigh=a":                             "sigh=a",
		"X-Amz-Signature=a&X-Amz-Date=b":     "X-Amz-Signature=REDACTED&X-Amz-Date=b",
		"x-AMZ-credential=a/b":               "x-AMZ-credential=REDACTED",
		"X-Amz-Security-Token=a":             "X-Amz-Security-Token=REDACTED",
		"X-Goog-Signature=a&AWSAccessKeyId=": "X-Goog-Signature=REDACTED&AWSAccessKeyId=REDACTED",
		"Signature=a=b=c&d=e":                "Signature=REDACTED&d=e",
		"access_token=a&access-token=b":      "access_token=REDACTED&access-token=REDACTED",
		"pass%77ord=a":                       "pass%77ord=REDACTED",
		"%70%57%44=a":                        "%70%57%44=REDACTED",
		"token%3Da":                          "token%3DREDACTED",
		"%20token=a":                         "%20token=REDACTED",
		"user[password]=a&user[name]=b":      "user[password]=REDACTED&user[name]=b",
		"password[]=a":                       "password[]=REDACTED",
		"user%5Bpassword%5D=a":               "user%5Bpassword%5D=REDACTED",
		"user.password=a":                    "user.password=REDACTED",
		"a=1;token=b;c=d&e=f":                "a=1;token=REDACTED&e=f",
		"url=https://h/?code=a&x=b":          "url=https://h/?code=REDACTED&x=b",
		"url=https%3A%2F%2Fh%3Fcode%3Da&x=b": "url=https%3A%2F%2Fh%3Fcode%3DREDACTED&x=b",
		"a=token=b":                          "a=token=b", // a value, for every server
		"&&token=a&&":                        "&&token=REDACTED&&",
		"%zztoken=a":                         "%zztoken=a",
		"a=%":                                "a=%",
		"access_token_expires_in_seconds=60": "access_token_expires_in_seconds=60",
	} {
		if got := string(appendRedacted(nil, []byte(query), inQuery)); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", query, got, want)
		}
	}
}

func TestSecretsOfPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b":                       "/a/b",
		"/token=a":                   "/token=a",
		"/a;jsessionid=x":            "/a;jsessionid=REDACTED",
		"/a;JSESSIONID=x/b;v=1/c":    "/a;JSESSIONID=REDACTED/b;v=1/c",
		"/a;v=1;sid=x;w=2/b":         "/a;v=1;sid=REDACTED/b",
		"/a;sid/b=c":                 "/a;sid/b=c",
		"/redirect/h%3Ftoken%3Da/b?": "/redirect/h%3Ftoken%3DREDACTED/b?",
	} {
		if got := string(appendRedacted(nil, []byte(path), inPath)); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", path, got, want)
		}
	}
}

func TestEverySecretIsCompared(t *testing.T) {
	for name := range secrets {
		if len(name) > longestSecret || strings.ToLower(name) != name || strings.Contains(name, "_") {
			t.Errorf("%s can never match", name)
		}
		if got := string(appendRedacted(nil, []byte(strings.ToUpper(name)+"=x"), inQuery)); strings.Contains(got, "x") {
			t.Errorf("%s is not redacted", got)
		}
	}
}

// disguised writes a name in the forms that clients use: in any case, with any character escaped.
func disguised(name string, r *rand.Rand) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch r.IntN(4) {
		case 0:
			b.WriteString(strings.ToUpper(string(c)))
		case 1:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789abcdef"[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func FuzzRedaction(f *testing.F) {
	f.Add([]byte("a=b"), []byte("c=d"), uint64(1))
	f.Add([]byte("url=http%3A"), []byte(";x?y&z%"), uint64(2))
	all := slices.Sorted(maps.Keys(secrets))
	const secret = "5ecret0fNobody" // it has no character that ends a value
	f.Fuzz(func(t *testing.T, before, after []byte, seed uint64) {
		if bytes.Contains(before, []byte(secret)) || bytes.Contains(after, []byte(secret)) {
			return // then it is no secret
		}
		r := rand.New(rand.NewPCG(seed, seed))
		parameter := disguised(all[r.IntN(len(all))], r) + "=" + secret
		query := append(append(append(bytes.Clone(before), '&'), parameter...), '&')
		query = append(query, after...)
		got := appendRedacted(nil, query, inQuery)
		if bytes.Contains(got, []byte(secret)) {
			t.Errorf("%q\nbecomes %q", query, got)
		}
		if again := appendRedacted(nil, got, inQuery); !bytes.Equal(again, got) {
			t.Errorf("%q\nbecomes %q\nthen    %q", query, got, again)
		}
	})
}

func FuzzExchange(f *testing.F) {
	f.Add([]byte("GET"), []byte("/a?token=x"), []byte("h:80"), []byte("user-agent"), []byte("curl"), 200, true)
	f.Add([]byte("CONNECT"), []byte("u:p@h:80"), []byte("[::1]"), []byte("content-type"), []byte("application/grpc"), 0, false)
	f.Add([]byte("\xff"), []byte("http://\xff@h"), []byte("@"), []byte("tracestate"), []byte("a=\xff"), 1000, true)
	f.Add([]byte("POST"), []byte("/S/\xf0\x9f"), []byte(""), []byte("grpc-status"), []byte("17"), 404, false)
	f.Fuzz(func(t *testing.T, method, target, host, name, value []byte, status int, isServer bool) {
		c := listing(client, []string{"x-a", "user-agent"}, []string{"x-a", "grpc-status"})
		if isServer {
			c.Side = protocol.Server
		}
		pool := c.pool()
		var x protocol.Exchange
		for range 2 { // the second round reuses a message
			m := c.get(pool)
			m.SetMethod(method)
			m.SetTarget(target)
			m.SetScheme(name)
			m.SetAuthority(host)
			m.RequestHeader([]byte("host"), host)
			m.RequestHeader([]byte("traceparent"), []byte(parent))
			m.RequestHeader([]byte("user-agent"), value)
			m.RequestHeader(name, value)
			m.ResponseHeader([]byte("x-a"), host)
			m.ResponseHeader(name, value)
			m.SetStatus(status)
			m.Fill(&x)
			mustBePresentable(t, &x)
			pool.Put(m)
		}
	})
}

// mustBePresentable checks the properties that every exchange has, for any input.
func mustBePresentable(t *testing.T, x *protocol.Exchange) {
	t.Helper()
	check := func(key, value string, limit int) {
		if !utf8.ValidString(value) || len(value) > limit {
			t.Errorf("%s has %d bytes: %q", key, len(value), value)
		}
	}
	check("name", x.Name, maxCall)
	check("server", x.Server, maxHost)
	check("error", x.Error, maxCall)
	check("state", x.Parent.State, maxState)
	seen := make(map[string]bool)
	for i, key := range x.Keys.All() {
		if seen[key.Name] {
			t.Errorf("%s is there twice", key.Name)
		}
		seen[key.Name] = true
		if !x.Mask.Has(i) {
			continue
		}
		limit := maxValue
		if strings.HasPrefix(key.Name, "url.") {
			limit = maxURL
		}
		check(key.Name, string(x.Value(i).Text), limit)
		for _, value := range x.Value(i).List {
			check(key.Name, value, maxValue)
		}
	}
}
