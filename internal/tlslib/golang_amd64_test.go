package tlslib

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goProgram uses crypto/tls, and a copy of it.
const goProgram = `package main

import (
	"crypto/tls"
	"fmt"

	copied "example.com/program/internal/crypto/tls"
)

func main() {
	c, err := tls.Dial("tcp", "localhost:1", nil)
	fmt.Println(err)
	_, err = c.Write(make([]byte, 1))
	fmt.Println(err)
	_, err = c.Read(make([]byte, 1))
	fmt.Println(err)
	fmt.Println(copied.Use())
}
`

const goCopy = `package tls

import "io"

type Conn struct{ rw io.ReadWriter }

func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.rw.Read(b)
}

//go:noinline
func (c *Conn) Write(b []byte) (int, error) { return c.write(b) }

//go:noinline
func (c *Conn) write(b []byte) (int, error) { return c.rw.Write(b) }

func Use() io.ReadWriter { return &Conn{} }
`

// A program without crypto/tls.
const goPlain = `package main

func main() { println("plain") }
`

// goBuild builds a program, and returns the path of the executable.
func goBuild(t testing.TB, files map[string]string, environment []string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	path := filepath.Join(dir, "program")
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), ".")...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off"), environment...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func goFiles() map[string]string {
	return map[string]string{"go.mod": "module example.com/program\n\ngo 1.20\n", "main.go": goProgram, "internal/crypto/tls/tls.go": goCopy}
}

var (
	objdumpText = regexp.MustCompile(`^TEXT (\S+)\(SB\)`)
	objdumpLine = regexp.MustCompile(`^\s+\S+:\d+\s+0x([0-9a-f]+)\s+[0-9a-f]+\s+(.*?)\s*$`)
	// Where a call is entered: behind the check of the stack's size.
	goEnters = map[string]*regexp.Regexp{"amd64": regexp.MustCompile(`^PUSHQ BP`), "arm64": regexp.MustCompile(`^MOVD\.W R30, -\d+\(RSP\)`)}
)

// goTruth are the probes of a program by the disassembler of Go, which uses the table of symbols, and how many functions are deferred that are probed.
func goTruth(t *testing.T, path, arch string) (probes []Probe, deferred int) {
	t.Helper()
	file, err := elf.Open(path)
	require.NoError(t, err)
	defer func() { assert.NoError(t, file.Close()) }()
	calls := map[string]Call{"Read": GoRead, "Write": GoWrite, "write": GoConnWrite}
	var method, called, begin string
	first := 0    // of the probes of a method
	var end Probe // of a call whose deferred function runs
	entered := false
	out := run(t, "go", "tool", "objdump", "-s", `crypto/tls\.\(\*Conn\)\.(Read|Write|write|Read\.func1|Read\.deferwrap1)$`, path)
	for _, text := range strings.Split(out, "\n") {
		if m := objdumpText.FindStringSubmatch(text); m != nil {
			keep(probes[first:], begin)
			first = len(probes)
			method, entered, called, begin = m[1][strings.LastIndexByte(m[1], '.')+1:], false, "", ""
			continue
		}
		m := objdumpLine.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		offset := fileOffset(t, file, hexNumber(t, m[1]))
		begin += m[2] + ";"
		switch ahead := called; {
		case calls[method] == 0 && strings.HasPrefix(m[2], "JBE") && end.Depth != 0:
			end.Offset = offset
			probes, end, deferred = append(probes, end), Probe{}, deferred+1
		case !entered && calls[method] != 0 && goEnters[arch].MatchString(m[2]):
			probes, entered = append(probes, Probe{Call: calls[method], Place: Enter, Offset: offset}), true
		case method == "Read" && m[2] == "RET" && goDeferred.MatchString(ahead):
			found := goDeferred.FindStringSubmatch(ahead)
			depth := uint32(hexNumber(t, found[2])) + 8
			end = Probe{Call: GoRead, Place: Exit, Depth: depth + 8, Result: depth - uint32(hexNumber(t, found[1])), GoesOn: true}
			end.Kept.Known = isKept(begin)
			called = ""
		case method == "Read" && m[2] == "RET":
			probes, called = append(probes, Probe{Call: GoRead, Place: Exit, Offset: offset}), ""
		case strings.HasPrefix(m[2], "J"):
			called = ""
		default:
			called += m[2] + ";"
		}
	}
	keep(probes[first:], begin)
	return probes, deferred
}

// goStores are where a method stores its receiver and the address of its slice, and the size of its frame, ahead of all calls.
var goStores = regexp.MustCompile(`^[^C]*(?:CMPQ SP[^C]*)?SUBQ \$0x([0-9a-f]+), SP;`)

// isKept says whether the code of a method stores both where its caller has room for them.
func isKept(code string) bool {
	m := goStores.FindStringSubmatch(code)
	if m == nil {
		return false
	}
	frame, err := strconv.ParseUint(m[1], 16, 64)
	ahead, _, _ := strings.Cut(code, "CALL")
	return err == nil && strings.Contains(ahead, fmt.Sprintf("MOVQ AX, %#x(SP);", frame+16)) &&
		strings.Contains(ahead, fmt.Sprintf("MOVQ BX, %#x(SP);", frame+24))
}

// keep marks the exits of a method at which its arguments are known.
func keep(probes []Probe, code string) {
	for i := range probes {
		if p := &probes[i]; p.Call == GoRead && p.Place == Exit && p.Depth == 0 {
			p.Kept.Known = isKept(code)
		}
	}
}

// goDeferred is what ends ahead of a RET with the call of a deferred function: the result, and the frame.
var goDeferred = regexp.MustCompile(`CALL [A-Z][A-Z0-9]*;MOVQ 0x([0-9a-f]+)\(SP\), AX;MOVQ 0x[0-9a-f]+\(SP\), BX;MOVQ 0x[0-9a-f]+\(SP\), CX;ADDQ \$0x([0-9a-f]+), SP;POPQ BP;$`)

func TestProbesOfGoProgramsAreWhereItsDisassemblerSeesThem(t *testing.T) {
	for name, build := range map[string]struct {
		arch        string
		environment []string
		flags       []string
		deferred    int // functions
	}{
		"static":                   {"amd64", []string{"CGO_ENABLED=0"}, nil, 1},
		"position independent":     {"amd64", []string{"CGO_ENABLED=0"}, []string{"-buildmode=pie"}, 1},
		"linked by C":              {"amd64", []string{"CGO_ENABLED=1"}, []string{"-ldflags=-linkmode=external"}, 1},
		"linked by C, independent": {"amd64", []string{"CGO_ENABLED=1"}, []string{"-buildmode=pie", "-ldflags=-linkmode=external"}, 1},
		"without inlining":         {"amd64", []string{"CGO_ENABLED=0"}, []string{"-gcflags=-N -l"}, 1},
		"arm64":                    {"arm64", []string{"CGO_ENABLED=0"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := goBuild(t, goFiles(), append(build.environment, "GOOS=linux", "GOARCH="+build.arch), build.flags...)
			want, deferred := goTruth(t, path, build.arch)
			assert.Equal(t, build.deferred, deferred)
			require.GreaterOrEqual(t, len(want), 8, "two copies with three methods, and exits")
			lib, err := findFile(t, path)
			require.NoError(t, err)
			assert.Equal(t, Go, lib.Kind)
			assert.Equal(t, runtime.Version(), lib.Version)
			assert.ElementsMatch(t, want, lib.Probes)
		})
	}
}

func TestStrippedGoProgramsHaveTheSameProbes(t *testing.T) {
	for name, flags := range map[string][]string{
		"static":                   nil,
		"linked by C":              {"-ldflags=-linkmode=external"},
		"linked by C, independent": {"-buildmode=pie", "-ldflags=-linkmode=external"},
	} {
		t.Run(name, func(t *testing.T) {
			path := goBuild(t, goFiles(), nil, flags...)
			want, err := findFile(t, path)
			require.NoError(t, err)
			run(t, "strip", path)
			got, err := findFile(t, path)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	t.Run("by the linker of Go", func(t *testing.T) {
		want, err := findFile(t, goBuild(t, goFiles(), []string{"CGO_ENABLED=0"}))
		require.NoError(t, err)
		got, err := findFile(t, goBuild(t, goFiles(), []string{"CGO_ENABLED=0"}, "-ldflags=-s -w"))
		require.NoError(t, err)
		assert.Equal(t, want.Probes, got.Probes)
	})
}

func TestAGoProgramWithoutTLSHasNone(t *testing.T) {
	_, err := findFile(t, goBuild(t, map[string]string{"go.mod": "module example.com/plain\n\ngo 1.20\n", "main.go": goPlain}, nil))
	assert.ErrorIs(t, err, ErrNoTLS)
}

func TestBuildIDOfAGoProgramIsGosOwnWhereTheLinkerWroteNone(t *testing.T) {
	path := goBuild(t, goFiles(), []string{"CGO_ENABLED=0"}, "-ldflags=-B none")
	lib, err := findFile(t, path)
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(run(t, "go", "tool", "buildid", path)), lib.BuildID)
}
