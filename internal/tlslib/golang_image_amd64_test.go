package tlslib

import (
	"strings"
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
	for name, code := range map[string]string{
		"newer table":         goImage,
		"table of Go 1.18":    strings.Replace(goImage, ".long 0xfffffff1", ".long 0xfffffff0", 1),
		"table elsewhere":     strings.Replace(goImage, `.section .gopclntab,"a"`, `.section .other,"aw"`, 1),
		"text in the table":   strings.Replace(goImage, ".quad 3, 0, 0,", ".quad 3, 0, .Ltext,", 1),
		"a path in all names": strings.ReplaceAll(goImage, `"crypto/tls`, `"example.com/vendor/crypto/tls`),
	} {
		t.Run(name, func(t *testing.T) {
			content := assemble(t, code, "-static", "-no-pie", "-Wl,-e,read")
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
		})
	}
}

// goDeferring is what Read is in goImage if it defers a function, whose instruction after the comparison is emulated.
const goDeferring = `enter_1: push %rbp; mov %rsp,%rbp; sub $24,%rsp; test %rcx,%rcx; je 2f
	lea unlock(%rip),%rdi; mov %rdi,(%rsp); lea (%rsp),%rdx; mov (%rdx),%rax; call *%rax
	mov 16(%rsp),%rax; xor %ebx,%ebx; add $24,%rsp; pop %rbp
exit_1:	ret
2:	add $24,%rsp; pop %rbp
exit_2:	ret
1:	call .Ltext; jmp read
unlock:	cmp 16(%r14),%rsp
deferred: jbe 1f; ret
1:	call .Ltext; jmp unlock
`

func TestDeferredFunctionIsProbedInsteadOfWhatFollows(t *testing.T) {
	deferring := strings.NewReplacer(
		".quad 3,", ".quad 4,", "exit_1, exit_2", "exit_1, exit_2, deferred", "f1-rows, write", "f1-rows, unlock-.Ltext, f4-rows, write",
		"f2:	.long", "f4:	.long 0, 0\nf2:	.long",
	).Replace(goImage)
	begin, end := strings.Index(deferring, "enter_1: push"), strings.Index(deferring, "write:	cmp")
	deferring = deferring[:begin] + goDeferring + deferring[end:]
	for name, test := range map[string]struct {
		old, new string
		want     bool
	}{
		"deferred":                                {"", "", true},
		"a result in its register":                {"mov 16(%rsp),%rax; ", "", false},
		"a result that is computed":               {"xor %ebx,%ebx", "inc %eax", false},
		"a result above the frame":                {"mov 16(%rsp),%rax", "mov 48(%rsp),%rax", false},
		"a part of a register":                    {"mov 16(%rsp),%rax", "mov 16(%rsp),%eax", false},
		"a call of a known function":              {"call *%rax", "call unlock", false},
		"a jump that leads behind the call":       {"je 2f", "je 3f; je 2f", false},
		"another function whose address is known": {"test %rcx,%rcx", "lea lower(%rip),%rdi; test %rcx,%rcx", false},
		"a function that is in no table":          {"lea unlock(%rip)", "lea 1f(%rip)", false},
		"no instruction that is emulated":         {"deferred: jbe 1f; ret", "deferred: ret", false},
	} {
		t.Run(name, func(t *testing.T) {
			code := strings.Replace(deferring, test.old, test.new, 1)
			code = strings.Replace(code, "mov 16(%rsp),%rax; xor %ebx", "3: mov 16(%rsp),%rax; xor %ebx", 1)
			content := assemble(t, code, "-static", "-no-pie", "-Wl,-e,read")
			lib, err := find(content)
			require.NoError(t, err)
			var exits []Probe
			for _, p := range lib.Probes {
				if p.Place == Exit {
					exits = append(exits, p)
				}
			}
			returns := labels(t, content, "exit")
			want := []Probe{{Call: GoRead, Place: Exit, Offset: returns[0]}, {Call: GoRead, Place: Exit, Offset: returns[1]}}
			if test.want {
				want[0] = Probe{Call: GoRead, Place: Exit, Offset: labels(t, content, "deferred")[0], Depth: 40, Result: 16, GoesOn: true}
			}
			assert.ElementsMatch(t, want, exits)
		})
	}
}

func TestProgramsOfGoWhoseFunctionsAreNotKnownAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		want     error
	}{
		"unknown table":           {".long 0xfffffff1", ".long 0xfffffff2", errNoGoTable},
		"no module's data":        {".quad table; .zero 152", ".quad 0; .zero 152", errNoTextStart},
		"module's data of others": {".zero 152; .quad read", ".zero 152; .quad write", errNoTextStart},
		"a method is missing":     {"(*Conn).write", "(*Conn).other", errGoPart},
		"no end":                  {"exit_1:	ret\n2:	pop %rbp\nexit_2:	ret", "exit_1: exit_2: nop\n2:	jmp 2b", errNoExit},
		"ends in another one":     {"exit_2:	ret", "exit_2: jmp write", errTailJump},
		"an argument is changed":  {"enter_1: push %rbp", "enter_1: mov %rbx,%rax; push %rbp", errPrologue},
		"unknown instruction":     {"exit_1:	ret", "exit_1: .byte 0x0f, 0x0a", errUndecoded},
		"no size":                 {".Lend-.Ltext", "0", errGoCode},
	} {
		t.Run(name, func(t *testing.T) {
			code := strings.Replace(goImage, test.old, test.new, 1)
			require.NotEqual(t, goImage, code)
			lib, err := find(assemble(t, code, "-static", "-no-pie", "-Wl,-e,read"))
			require.ErrorIs(t, err, test.want)
			require.NotNil(t, lib)
			assert.Equal(t, Go, lib.Kind)
			assert.Empty(t, lib.Probes)
		})
	}
}
