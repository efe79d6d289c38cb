package tlslib

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wholeLibrary has all that is looked for in a library of C: parts elsewhere, a switch, a linkage table.
var wholeLibrary = cFunction("SSL_read", `push %rbx; test %edx,%edx; js cold; call *8(%rdi); pop %rbx; ret; .cfi_endproc
		.section .text.unlikely,"ax"; .cfi_startproc; .type cold, @function; cold: pop %rbx; ret; .size cold, .-cold; .cfi_endproc; .text; .cfi_startproc; ud2`) +
	cFunction("SSL_write", `push %rbx; cmp $1,%edx; ja 1f; mov %edx,%eax; lea 9f(%rip),%rdx; movslq (%rdx,%rax,4),%rax; add %rdx,%rax; jmp *%rax
		1: pop %rbx; ret; .section .rodata; .p2align 2; 9: .long 1b-9b, 1b-9b; .text`) +
	cFunction("SSL_write_ex", `mov %rcx,%r8; jmp SSL_write_ex2@PLT`) + cFunction("SSL_write_ex2", `push %rbx; call *8(%rdi); pop %rbx; ret`) +
	cFunction("BIO_write", `push %rbx; pop %rbx; ret`) + cFunction("OpenSSL_version_num", `mov $0x30500040,%eax; ret`)

var wholeGnuTLS = gnuTLSOf("mov 0x5f0(%rbp),%rax; mov %r14,%rdi; call *%rax; mov %r14,%rdi; call *0x5e8(%r13); ret")

var staticProgram = []string{"-static", "-no-pie", "-Wl,-e,SSL_read"}

func TestLibrariesAreFoundByWhateverTableTheyHave(t *testing.T) {
	want, err := find(assemble(t, wholeLibrary))
	require.NoError(t, err)
	assert.Equal(t, "3.5.4", want.Version)
	require.Len(t, want.Probes, 8)
	for name, change := range map[string]func() []byte{
		"older table of names":            func() []byte { return assemble(t, wholeLibrary, "-shared", "-Wl,--hash-style=sysv") },
		"linkage table with landing pads": func() []byte { return assemble(t, wholeLibrary, "-shared", "-Wl,-z,ibtplt") },
		"stripped":                        func() []byte { return assemble(t, wholeLibrary, "-shared", "-s") },
		"no section headers": func() []byte {
			content := assemble(t, wholeLibrary)
			clear(content[40:48]) // e_shoff
			clear(content[58:64]) // their size, number, and names
			return content
		},
		"linked in": func() []byte { return assemble(t, wholeLibrary, staticProgram...) },
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := find(change())
			require.NoError(t, err)
			assert.Equal(t, want.Kind, lib.Kind)
			assert.Equal(t, want.Version, lib.Version)
			assert.Len(t, lib.Probes, len(want.Probes))
		})
	}
}

func TestFilesWithoutALibraryHaveNone(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty":                 nil,
		"script":                []byte("#!/bin/sh\n" + string(make([]byte, 100))),
		"other functions":       assemble(t, cFunction("SSL_peek", "ret")),
		"only imports":          assemble(t, cFunction("other", "jmp SSL_read@PLT")),
		"linked in, stripped":   assemble(t, wholeLibrary, append(staticProgram, "-s")...),
		"longer name":           assemble(t, cFunction("my_SSL_read", "ret"), "-static", "-no-pie", "-Wl,-e,my_SSL_read"),
		"hands calls to GnuTLS": assemble(t, wholeLibrary, "-shared", "-Wl,-soname,libgnutls-openssl.so.27"),
		"for another processor": changed(assemble(t, wholeLibrary), 18, byte(elf.EM_S390)),
		"with 32 bits":          changed(assemble(t, wholeLibrary), elf.EI_CLASS, byte(elf.ELFCLASS32)),
		"object":                changed(assemble(t, wholeLibrary), 16, byte(elf.ET_REL)),
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := find(content)
			assert.ErrorIs(t, err, ErrNoTLS)
			assert.Nil(t, lib)
		})
	}
}

func changed(content []byte, at int, to byte) []byte {
	content[at] = to
	return content
}

// counted counts what is read.
type counted struct {
	io.ReaderAt
	bytes int64
	reads int
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, off)
	c.bytes += int64(n)
	c.reads++
	return n, err
}

// checkAny requires what holds for every content.
func checkAny(t *testing.T, content []byte) {
	t.Helper()
	c := &counted{ReaderAt: bytes.NewReader(content)}
	lib, err := Find(c, int64(len(content)))
	assert.LessOrEqual(t, c.bytes, int64(maxRead))
	if err != nil {
		assert.True(t, lib == nil || len(lib.Probes) == 0)
		return
	}
	enters := make(map[Call]bool)
	for _, p := range lib.Probes {
		assert.Less(t, p.Offset, uint64(len(content)))
		if p.Place == Enter {
			enters[p.Call] = true
		}
		assert.True(t, enters[p.Call], "what is left is entered, too")
	}
}

func TestCutFilesDoNoHarm(t *testing.T) {
	for _, content := range [][]byte{assemble(t, wholeLibrary), assemble(t, wholeGnuTLS), assemble(t, goImage, "-static", "-no-pie", "-Wl,-e,read")} {
		for n := range len(content) {
			checkAny(t, content[:n])
		}
	}
}

func TestChangedFilesDoNoHarm(t *testing.T) {
	for _, content := range [][]byte{
		assemble(t, wholeLibrary), assemble(t, wholeLibrary, "-shared", "-Wl,--hash-style=sysv"), assemble(t, wholeLibrary, staticProgram...),
		assemble(t, goImage, "-static", "-no-pie", "-Wl,-e,read"), assemble(t, wholeGnuTLS),
	} {
		for at, was := range content {
			for _, to := range []byte{0, 0xff, was + 1} {
				content[at] = to
				checkAny(t, content)
			}
			content[at] = was
		}
	}
}

// zeros are a file of nothing, with a begin.
type zeros struct{ begin []byte }

func (z zeros) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off < int64(len(z.begin)) {
		copy(b, z.begin[off:])
	}
	return len(b), nil
}

func TestWhatIsReadOfAHugeFileIsBounded(t *testing.T) {
	const size = 1 << 50
	for name, content := range map[string][]byte{
		"table of symbols": assemble(t, wholeLibrary, staticProgram...),
		"Go's table":       assemble(t, goImage, "-static", "-no-pie", "-Wl,-e,read"),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := elf.NewFile(bytes.NewReader(content))
			require.NoError(t, err)
			for i, s := range f.Sections { // each is as large as the file
				if s.Type == elf.SHT_STRTAB || s.Type == elf.SHT_SYMTAB {
					at := int(le.Uint64(content[40:])) + i*64 + 32
					le.PutUint64(content[at:], size)
				}
			}
			for i := range f.Progs {
				le.PutUint64(content[64+i*56+32:], size)
			}
			if s := f.Section(".gopclntab"); s != nil { // names of a terabyte
				le.PutUint64(content[s.Offset+32:], 1<<12)
				le.PutUint64(content[s.Offset+40:], 1<<40)
			}
			c := &counted{ReaderAt: zeros{content}}
			_, err = Find(c, size)
			assert.ErrorIs(t, err, errTooMuch)
			assert.LessOrEqual(t, c.bytes, int64(maxRead))
		})
	}
}

func TestAChainOfHashesWithoutEndIsRefused(t *testing.T) {
	content := assemble(t, wholeLibrary, "-shared", "-Wl,--hash-style=sysv")
	f, err := elf.NewFile(bytes.NewReader(content))
	require.NoError(t, err)
	s := f.Section(".hash")
	buckets, chains := le.Uint32(content[s.Offset:]), le.Uint32(content[s.Offset+4:])
	for i := range buckets + chains { // all symbols come after the first, which comes after itself
		le.PutUint32(content[s.Offset+8+uint64(i)*4:], 1)
	}
	_, err = find(content)
	assert.ErrorIs(t, err, errChain)
}

// FuzzFind changes single bytes of files that have a library. (Whole files are too long as inputs: minimising one takes a minute.)
func FuzzFind(f *testing.F) {
	var files [][]byte
	for _, options := range [][]string{{"-shared"}, {"-shared", "-Wl,--hash-style=sysv", "-s"}, staticProgram} {
		files = append(files, assemble(f, wholeLibrary, options...))
	}
	files = append(files, assemble(f, goImage, "-static", "-no-pie", "-Wl,-e,read"),
		assemble(f, wholeGnuTLS+cFunction("gnutls_check_version", `lea 1f(%rip),%rax; ret; 1: .asciz "3.7.9"`)))
	for i := range files {
		f.Add(byte(i), []byte{})
		f.Add(byte(i), []byte{0, 32, 1, 0, 40, 2}) // where the headers are
	}
	f.Fuzz(func(t *testing.T, which byte, changes []byte) {
		content := bytes.Clone(files[int(which)%len(files)])
		for ; len(changes) >= 3; changes = changes[3:] { // place, byte
			content[int(binary.BigEndian.Uint16(changes))%len(content)] = changes[2]
		}
		checkAny(t, content)
	})
}
