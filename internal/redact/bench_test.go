package redact

import "testing"

func BenchmarkURL(b *testing.B) {
	for _, c := range [...]struct{ name, path, query string }{
		{"usual", "/api/v1/items/42", "page=2&sort=name"},
		{"slug", "/articles/a-long-article-about-nothing", "utm_source=feed&lang=en"},
		{"uuid", "/users/" + uuid + "/orders", ""},
		{"encoded", "/search", "q=hello%20world&from=2026-11-28T03%3A30%3A00Z"},
		{"secret", "/api/v1/items/42", "page=2&token=abcdef"},
		{"nested", "/login", "next=https%3A%2F%2Fshop.example.com%2Fcart%3Fitem%3D42%26token%3Dabcdef"},
	} {
		b.Run(c.name, func(b *testing.B) {
			path, query := []byte(c.path), []byte(c.query)
			var to []byte
			b.ReportAllocs()
			for b.Loop() {
				to = (*Rules)(nil).AppendPath(to[:0], path)
				to = (*Rules)(nil).AppendQuery(to, query)
			}
		})
	}
}
