package tlslib

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// systemFiles are files with TLS libraries that this machine may have, and whether it must have one of them.
var systemFiles = []struct {
	pattern string
	must    bool
}{
	{"/usr/lib/x86_64-linux-gnu/libssl.so.*", true},
	{"/usr/lib/x86_64-linux-gnu/libcrypto.so.*", true},
	{"/usr/lib/x86_64-linux-gnu/libgnutls.so.30", false},
	{"/usr/lib/x86_64-linux-gnu/android/lib[sc]*.so.0", false}, // BoringSSL
	{"/usr/bin/node", false},
}

// What binutils say of a file.
type truth struct {
	t         *testing.T
	path      string
	file      *elf.File
	functions map[string]uint64
	pieces    []span
}

func binutils(t *testing.T, path string) *truth {
	t.Helper()
	file, err := elf.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
	b := &truth{t: t, path: path, file: file, functions: make(map[string]uint64)}
	for _, m := range regexp.MustCompile(`(?m)^([0-9a-f]+) [TW] ([^@\n]+)`).FindAllStringSubmatch(run(t, "nm", "-D", "--defined-only", path), -1) {
		b.functions[m[2]] = hexNumber(t, m[1])
	}
	for _, m := range regexp.MustCompile(`FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)`).FindAllStringSubmatch(run(t, "readelf", "--debug-dump=frames", path), -1) {
		b.pieces = append(b.pieces, span{hexNumber(t, m[1]), hexNumber(t, m[2])})
	}
	return b
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v", name, args)
	return string(out)
}

func hexNumber(t testing.TB, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 64)
	require.NoError(t, err)
	return n
}

// line is an instruction as objdump prints it.
type line struct {
	at   uint64
	text string
}

var (
	lineForm = regexp.MustCompile(`(?m)^ *([0-9a-f]+):\s+(.*?)\s*$`)
	jumpForm = regexp.MustCompile(`^(?:bnd |notrack )?j\w+\s+([0-9a-f]+) <([^>]*)>`)
	retForm  = regexp.MustCompile(`^(?:repz |bnd )?ret`)
)

func (b *truth) disassemble(s span) (lines []line) {
	out := run(b.t, "objdump", "-d", "--no-show-raw-insn", "--start-address="+strconv.FormatUint(s.begin, 10), "--stop-address="+strconv.FormatUint(s.end, 10), b.path)
	for _, m := range lineForm.FindAllStringSubmatch(out, -1) {
		lines = append(lines, line{hexNumber(b.t, m[1]), m[2]})
	}
	return lines
}

func (b *truth) piece(addr uint64) span {
	i := slices.IndexFunc(b.pieces, func(s span) bool { return s.has(addr) })
	require.NotEqual(b.t, -1, i, "%#x", addr)
	return b.pieces[i]
}

// closure is the code of a function, with that of all that it jumps to.
func (b *truth) closure(addr uint64) map[uint64][]line {
	pieces := make(map[uint64][]line)
	for todo := []uint64{addr}; len(todo) > 0; todo = todo[1:] {
		piece := b.piece(todo[0])
		if pieces[piece.begin] != nil {
			continue
		}
		pieces[piece.begin] = b.disassemble(piece)
		for _, l := range pieces[piece.begin] {
			m := jumpForm.FindStringSubmatch(l.text)
			if m == nil || piece.has(hexNumber(b.t, m[1])) {
				continue
			}
			if name, ok := strings.CutSuffix(m[2], "@plt"); ok {
				require.Contains(b.t, b.functions, name)
				todo = append(todo, b.functions[name])
			} else {
				todo = append(todo, hexNumber(b.t, m[1]))
			}
		}
	}
	return pieces
}

// Operands are AT&T's: the last one is where the result goes.
var (
	writesResult   = regexp.MustCompile(`(?:^|,)%(?:rax|eax|ax|al)$`)
	writesArgument = regexp.MustCompile(`(?:^|,)%(?:[re]?di|dil|[re]?si|sil|[re]dx|dx|dl)$`)
	comparesOnly   = regexp.MustCompile(`^(?:cmp|test)`)
	stackMove      = regexp.MustCompile(`^(push|pop|sub|add)\s+(?:\$0x([0-9a-f]+),)?%(\w+)$`)
)

func (l line) writes(registers *regexp.Regexp) bool {
	fields := strings.Fields(l.text)
	return len(fields) > 1 && !comparesOnly.MatchString(l.text) && registers.MatchString(fields[1])
}

// deeper is by how much an instruction lowers the stack pointer.
func (b *truth) deeper(l line) int {
	m := stackMove.FindStringSubmatch(l.text)
	switch {
	case m == nil:
		return 0
	case m[1] == "push":
		return 8
	case m[1] == "pop":
		return -8
	case m[3] != "rsp" || m[2] == "":
		return 0
	case m[1] == "sub":
		return int(hexNumber(b.t, m[2]))
	default:
		return -int(hexNumber(b.t, m[2]))
	}
}

// checkEnter requires that no argument changes, and that nothing jumps, between the begin of the function and the probe.
func (b *truth) checkEnter(addr uint64, p Probe) {
	depth := 0
	for _, l := range b.disassemble(b.piece(addr)) {
		if l.at < addr {
			continue
		}
		if fileOffset(b.t, b.file, l.at) == p.Offset {
			assert.Equal(b.t, int(p.Depth), depth)
			return
		}
		assert.False(b.t, l.writes(writesArgument), "%x: %s", l.at, l.text)
		assert.NotRegexp(b.t, `^(j|call|ret|loop)`, l.text)
		depth += b.deeper(l)
	}
	assert.Fail(b.t, "there is no instruction where the function is entered", "%+v", p)
}

// returnOf is the RET that a call reaches from an exit, with the stack pointer where the probe says.
func (b *truth) returnOf(pieces map[uint64][]line, p Probe) uint64 {
	for _, lines := range pieces {
		i := slices.IndexFunc(lines, func(l line) bool { return fileOffset(b.t, b.file, l.at) == p.Offset })
		if i < 0 {
			continue
		}
		if retForm.MatchString(lines[i].text) {
			assert.Zero(b.t, p.Depth)
			return lines[i].at
		}
		if p.Kept.Known {
			assert.Regexp(b.t, `^(pop|add) `, lines[i].text)
			assert.NotRegexp(b.t, `^pop `, lines[i-1].text)
			i--
		} else {
			assert.Regexp(b.t, `^jne `, lines[i].text)
			assert.Contains(b.t, lines[i-1].text+lines[i-2].text, "%fs:0x28")
		}
		depth := int(p.Depth)
		for _, l := range lines[i+1:] {
			if retForm.MatchString(l.text) {
				assert.Zero(b.t, depth)
				return l.at
			}
			assert.False(b.t, l.writes(writesResult), "%x: %s", l.at, l.text)
			depth += b.deeper(l)
		}
	}
	assert.Fail(b.t, "there is no instruction where the function is left", "%+v", p)
	return 0
}

func (b *truth) checkExits(addr uint64, exits []Probe) {
	pieces := b.closure(addr)
	var want, got []uint64
	for _, lines := range pieces {
		for _, l := range lines {
			if retForm.MatchString(l.text) {
				want = append(want, l.at)
			}
		}
	}
	for _, p := range exits {
		got = append(got, b.returnOf(pieces, p))
	}
	assert.ElementsMatch(b.t, want, got)
}

func TestProbesOfSystemLibrariesAreWhereBinutilsSeeThem(t *testing.T) {
	for _, s := range systemFiles {
		paths, err := filepath.Glob(s.pattern)
		require.NoError(t, err)
		if s.must {
			require.NotEmpty(t, paths, s.pattern)
		}
		for _, path := range paths {
			t.Run(filepath.Base(path), func(t *testing.T) { checkSystemFile(t, path) })
		}
	}
}

func checkSystemFile(t *testing.T, path string) {
	b := binutils(t, path)
	lib, err := findFile(t, path)
	if b.functions["SSL_read"] == 0 && b.functions["BIO_write"] == 0 && b.functions["gnutls_record_recv"] == 0 {
		require.ErrorIs(t, err, ErrNoTLS)
		return
	}
	require.NoError(t, err)
	hasReader := slices.ContainsFunc(lib.Probes, func(p Probe) bool { return p.GoesOn })
	if hasReader {
		b.checkReader(lib.Probes)
	}
	if b.functions[bioSSL] != 0 && lib.Kind == OpenSSL {
		i := slices.IndexFunc(lib.Probes, func(p Probe) bool { return p.Call == BIOSSLWrite })
		require.NotEqual(t, -1, i, "how BIO_f_ssl writes")
		b.functions[bioWriter] = b.piece(b.address(lib.Probes[i].Offset)).begin
	}
	for _, f := range slices.Concat(openSSL, gnuTLS) {
		addr, ok := b.functions[f.name]
		if hasReader && (f.call == SSLRead || f.call == SSLReadEx) {
			continue
		}
		var enters, exits []Probe
		for _, p := range lib.Probes {
			switch {
			case p.Call == f.call && p.Place == Enter:
				enters = append(enters, p)
			case p.Call == f.call && p.Place == Exit:
				exits = append(exits, p)
			}
		}
		if send2 := b.functions["gnutls_record_send2"]; !ok || f.call == GnuTLSSend && b.closure(addr)[send2] != nil {
			assert.Empty(t, enters, f.name)
			continue
		}
		if assert.Len(t, enters, 1, f.name) {
			b.checkEnter(addr, enters[0])
		}
		if f.exits {
			b.checkExits(addr, exits)
		} else {
			assert.Empty(t, exits, f.name)
		}
	}
	if lib.Kind == GnuTLS {
		b.checkPushes(lib)
		b.checkReceives(lib.Probes)
	}
}

// checkReader requires that the instructions are those of the function through which both functions that read do so: one where it is entered, one behind
// the read that is done once, and one behind that which may follow.
func (b *truth) checkReader(all []Probe) {
	var probes []Probe
	var texts []string
	for _, p := range all {
		if p.Call != SSLReadEx {
			continue
		}
		addr := b.address(p.Offset)
		lines := b.disassemble(b.piece(addr))
		i := slices.IndexFunc(lines, func(l line) bool { return l.at == addr })
		require.NotEqual(b.t, -1, i)
		probes, texts = append(probes, p), append(texts, lines[i].text)
		if p.GoesOn {
			assert.Regexp(b.t, `^cmp\s+\$0xffffffff,%eax$`, lines[i-1].text)
		}
		if p.Place == Exit {
			b.checkKept(p.Kept, lines)
		}
	}
	require.Len(b.t, probes, 3)
	assert.Equal(b.t, []Place{Enter, Exit, Exit}, []Place{probes[0].Place, probes[1].Place, probes[2].Place})
	assert.Regexp(b.t, `^(push|jmp)\s`, texts[0])
	assert.Regexp(b.t, `^je\s`, texts[1])
	assert.Regexp(b.t, `^jmp\s`, texts[2])
	assert.Equal(b.t, probes[1].Depth, probes[2].Depth)
}

// checkKept requires that a function copies its arguments to the registers. The fourth may be in the fifth's.
func (b *truth) checkKept(k Kept, lines []line) {
	names := [...]string{3: "rbx", 5: "rbp", 12: "r12", 13: "r13", 14: "r14", 15: "r15"}
	var code strings.Builder
	for _, l := range lines {
		code.WriteString(l.text + ";")
	}
	if !assert.True(b.t, k.Known) {
		return
	}
	for from, to := range map[string]uint8{"rdi": k.Object, "rsi": k.Bytes, "(rcx|r8)": k.Count} {
		assert.Regexp(b.t, `(?m);mov +%`+from+`,%`+names[to]+`;`, code.String())
	}
	if k.Zero != 0 {
		assert.Regexp(b.t, `;mov +%ecx,%`+names[k.Zero]+`d;`, code.String())
	}
}

// address is that of an offset in the file.
func (b *truth) address(offset uint64) uint64 {
	for _, p := range b.file.Progs {
		if p.Type == elf.PT_LOAD && p.Off <= offset && offset < p.Off+p.Filesz {
			return p.Vaddr + offset - p.Off
		}
	}
	require.Fail(b.t, "the offset is not loaded")
	return 0
}

func findFile(t testing.TB, path string) (*Library, error) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { assert.NoError(t, f.Close()) }()
	stat, err := f.Stat()
	require.NoError(t, err)
	return Find(f, stat.Size())
}

func TestBuildIDIsTheOneThatBinutilsPrint(t *testing.T) {
	paths, err := filepath.Glob(systemFiles[0].pattern)
	require.NoError(t, err)
	lib, err := findFile(t, paths[0])
	require.NoError(t, err)
	assert.Contains(t, run(t, "readelf", "-n", paths[0]), "Build ID: "+lib.BuildID+"\n")
}
