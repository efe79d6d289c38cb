package procfs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMappingsOfCode(t *testing.T) {
	const libssl = "7f1a2000-7f1a3000 r-xp 0001f000 fe:01 4711                       /usr/lib/libssl.so.3"
	for name, test := range map[string]struct {
		line string
		want MappedFile
		ok   bool
	}{
		"of a file":                {libssl, MappedFile{0xfe<<32 | 1, 4711, "/usr/lib/libssl.so.3", 0x7f1a2000, 0x7f1a3000}, true},
		"with a blank in its path": {"1000-2000 r-xp 0 00:1b 2 /a b (deleted)", MappedFile{0x1b, 2, "/a b (deleted)", 0x1000, 0x2000}, true},
		"with a newline":           {`1000-2000 r-xp 0 00:1b 2 /a\012b`, MappedFile{0x1b, 2, "/a\nb", 0x1000, 0x2000}, true},
		"not executable":           {strings.Replace(libssl, "r-xp", "r--p", 1), MappedFile{}, false},
		"of the kernel":            {"7ffd000-7ffe000 r-xp 00000000 00:00 0                          [vdso]", MappedFile{}, false},
		"of memory":                {"7ffd000-7ffe000 r-xp 00000000 00:00 0 ", MappedFile{}, false},
		"without a device":         {"1000-2000 r-xp 0 001b 2 /a", MappedFile{}, false},
		"empty":                    {"", MappedFile{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseMapping([]byte(test.line))
			require.Equal(t, test.ok, ok)
			if ok {
				assert.Equal(t, test.want, got)
			}
		})
	}
}

func TestAFileWithSeveralMappingsIsListedOnce(t *testing.T) {
	files, cut, err := readMaps(strings.NewReader("1000-2000 r-xp 0 00:1b 2 /a\n3000-4000 r-xp 0 00:1b 2 /a\n5000-6000 r-xp 0 00:1c 2 /b\n"))
	require.NoError(t, err)
	assert.False(t, cut)
	require.Len(t, files, 2)
	assert.Equal(t, "/a", files[0].Path)
	assert.Equal(t, "/b", files[1].Path)
}

func TestMappedFilesAreBounded(t *testing.T) {
	var many, long strings.Builder
	for i := range maxMappedFiles + 1 {
		_, _ = fmt.Fprintf(&many, "1000-2000 r-xp 0 00:1b %d /a\n", i+1)
	}
	for long.Len() <= maxMapsBytes {
		long.WriteString("1000-2000 rw-p 0 00:00 0 \n")
	}
	for name, text := range map[string]string{"files": many.String(), "bytes": long.String()} {
		t.Run(name, func(t *testing.T) {
			files, cut, err := readMaps(strings.NewReader(text))
			require.NoError(t, err)
			assert.True(t, cut)
			assert.LessOrEqual(t, len(files), maxMappedFiles)
		})
	}
}

func FuzzMapping(f *testing.F) {
	f.Add([]byte("7f1a2000-7f1a3000 r-xp 0001f000 fe:01 4711 /usr/lib/libssl.so.3"))
	f.Add([]byte("7ffd000-7ffe000 r-xp 00000000 00:00 0 [vdso]"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if m, ok := parseMapping(line); ok {
			assert.NotZero(t, m.Inode)
			assert.NotEmpty(t, m.Path)
		}
	})
}
