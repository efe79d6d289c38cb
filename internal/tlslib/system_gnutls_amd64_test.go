package tlslib

import (
	"debug/elf"
	"regexp"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkPushes requires that behind each probe there is a call through a field of a session, and that all of them have one.
func (b *truth) checkPushes(lib *Library) {
	setter := func(name string) string {
		m := regexp.MustCompile(`mov +%rsi,(0x[0-9a-f]+)\(%rdi\)`).FindStringSubmatch(b.disassemble(b.piece(b.functions[name]))[0].text + "\n" +
			b.disassemble(b.piece(b.functions[name]))[1].text)
		require.NotNil(b.t, m, name)
		return m[1]
	}
	through := regexp.MustCompile(`^call +\*(%\w+|(` + setter(gnuTLSSetPush) + `|` + setter(gnuTLSSetVectorPush) + `)\(%\w+\))$`)
	calls := strings.Count(run(b.t, "objdump", "-d", "--no-show-raw-insn", b.path), "*"+setter(gnuTLSSetPush)+"(%")
	bytes := 0
	for _, p := range lib.Probes {
		if p.Call != GnuTLSPush && p.Call != GnuTLSPushVector {
			continue
		}
		if p.Call == GnuTLSPush {
			bytes++
		}
		var at uint64
		for _, s := range b.file.Progs {
			if s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 {
				at = p.Offset - s.Off + s.Vaddr
			}
		}
		lines := b.disassemble(span{at, at + 32})
		require.Regexp(b.t, through, lines[1].text)
	}
	assert.Equal(b.t, calls, bytes)
}

// checkReceives requires that some ends of calls that receive are known to have the arguments, and that the function copies these to the registers.
func (b *truth) checkReceives(all []Probe) {
	names := [...]string{3: "rbx", 5: "rbp", 12: "r12", 13: "r13", 14: "r14", 15: "r15"}
	kept := 0
	for _, p := range all {
		if !p.Kept.Known {
			continue
		}
		kept++
		var code strings.Builder
		for _, l := range b.disassemble(b.piece(b.address(p.Offset))) {
			code.WriteString(l.text + ";")
		}
		assert.Regexp(b.t, `;mov +%rdi,%`+names[p.Kept.Object]+`;`, code.String())
		assert.Regexp(b.t, `;mov +%rdx,%`+names[p.Kept.Bytes]+`;`, code.String())
		assert.Regexp(b.t, `;mov +%esi,%`+names[p.Kept.Type]+`d;`, code.String())
	}
	assert.NotZero(b.t, kept)
}
