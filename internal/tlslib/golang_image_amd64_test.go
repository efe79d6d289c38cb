package tlslib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goImage is the least that looks like a program of Go 1.26 with crypto/tls: the table of functions, the module's data, and code.
const goImage = `
.section .go.buildinfo,"aw"; .p2align 4
	.ascii "\xff Go buildinf:"; .byte 8, 2; .zero 16; .byte 6; .ascii "go1.26"; .byte 0
.section .gopclntab,"a"; .p2align 3
table:	.long 0xfffffff1; .byte 0, 0, 1, 8; .quad 3, 0, 0, names-table, files-table, files-table, files-table, rows-table
names:	.byte 0
n1:	.asciz "crypto/tls.(*Conn).Read"
n2:	.asciz "crypto/tls.(*Conn).Write"
n3:	.asciz "crypto/tls.(*Conn).write"
files:	.p2align 3
rows:	.long read-.Ltext, f1-rows, write-.Ltext, f2-rows, lower-.Ltext, f3-rows, .Lend-.Ltext
f1:	.long 0, n1-names
f2:	.long 0, n2-names
f3:	.long 0, n3-names
.data; .p2align 3
	.quad table; .zero 152; .quad read; .quad 0; .quad .Ltext; .zero 400
.text; .p2align 4
.Ltext:	ud2
.globl read, enter_1, enter_2, enter_3, exit_1, exit_2
read:	cmp 16(%r14),%rsp; jbe 1f
enter_1: push %rbp; mov %rsp,%rbp; test %rcx,%rcx; je 2f; pop %rbp
exit_1:	ret
2:	pop %rbp
exit_2:	ret
1:	call .Ltext; jmp read
write:	cmp 16(%r14),%rsp; jbe 1f
enter_2: push %rbp; pop %rbp; ret
1:	call .Ltext; jmp write
lower:	cmp 16(%r14),%rsp; jbe 1f
enter_3: sub $24,%rsp; add $24,%rsp; ret
1:	call .Ltext; jmp lower
.Lend:	ud2
`

func TestTheLeastProgramOfGo(t *testing.T) {
	content := assemble(t, goImage, "-static", "-no-pie", "-Wl,-e,read")
	lib, err := find(content)
	require.NoError(t, err)
	assert.Equal(t, "go1.26", lib.Version)
	want := []Probe{}
	for i, off := range labels(t, content, "enter") {
		want = append(want, Probe{Call: GoRead + Call(i), Place: Enter, Offset: off})
	}
	for _, off := range labels(t, content, "exit") {
		want = append(want, Probe{Call: GoRead, Place: Exit, Offset: off})
	}
	assert.ElementsMatch(t, want, lib.Probes)
}
