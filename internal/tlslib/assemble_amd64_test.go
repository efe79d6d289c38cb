package tlslib

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// assemble makes a shared object of assembly code, or what the linker's options say, and returns its content.
func assemble(t testing.TB, code string, options ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	source, object := filepath.Join(dir, "code.s"), filepath.Join(dir, "code.so")
	require.NoError(t, os.WriteFile(source, []byte(code), 0o600))
	if len(options) == 0 {
		options = []string{"-shared"}
	}
	args := append([]string{"-nostdlib", "-Wl,-z,max-page-size=64,-z,common-page-size=64,-z,noseparate-code", "-Wl,--build-id=none", "-o", object, source}, options...)
	out, err := exec.Command("gcc", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	content, err := os.ReadFile(object)
	require.NoError(t, err)
	return content
}

// cFunction is a global function with unwinding information. It has a second one behind it, so that running out of it shows.
func cFunction(name, body string) string {
	return ".text\n.globl " + name + "\n.type " + name + ", @function\n" + name + ":\n.cfi_startproc\n" + body + "\n.cfi_endproc\n.size " + name + ", .-" + name + "\n" +
		".p2align 4\n.cfi_startproc\nud2\n.cfi_endproc\n"
}

// labels are the file offsets of the symbols with a prefix, by name.
func labels(t *testing.T, content []byte, prefix string) (offsets []uint64) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(content))
	require.NoError(t, err)
	symbols, err := f.Symbols()
	require.NoError(t, err)
	slices.SortFunc(symbols, func(a, b elf.Symbol) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range symbols {
		if strings.HasPrefix(s.Name, prefix) {
			offsets = append(offsets, fileOffset(t, f, s.Value))
		}
	}
	return offsets
}

func fileOffset(t *testing.T, f *elf.File, addr uint64) uint64 {
	t.Helper()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && p.Vaddr <= addr && addr < p.Vaddr+p.Filesz {
			return addr - p.Vaddr + p.Off
		}
	}
	require.Fail(t, "address is not code", "%#x", addr)
	return 0
}

func find(content []byte) (*Library, error) {
	return Find(bytes.NewReader(content), int64(len(content)))
}
