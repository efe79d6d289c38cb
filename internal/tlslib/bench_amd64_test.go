package tlslib

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkFind says what a file costs that has been read before: time, bytes, and reads.
func BenchmarkFind(b *testing.B) {
	paths := []string{"/bin/true", goBuild(b, goFiles(), nil), goBuild(b, goFiles(), nil, "-buildmode=pie", "-ldflags=-linkmode=external -s -w")}
	for _, s := range systemFiles {
		more, err := filepath.Glob(s.pattern)
		require.NoError(b, err)
		paths = append(paths, more...)
	}
	for _, path := range paths {
		b.Run(filepath.Base(path), func(b *testing.B) {
			f, err := os.Open(path)
			require.NoError(b, err)
			defer func() { require.NoError(b, f.Close()) }()
			stat, err := f.Stat()
			require.NoError(b, err)
			c := &counted{ReaderAt: f}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Find(c, stat.Size()); err != nil && !errors.Is(err, ErrNoTLS) {
					require.NoError(b, err)
				}
			}
			b.ReportMetric(float64(stat.Size()), "file-B")
			b.ReportMetric(float64(c.bytes)/float64(b.N), "read-B/op")
			b.ReportMetric(float64(c.reads)/float64(b.N), "reads/op")
		})
	}
}
