package tlslib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In each case the labels that begin with "enter" and "exit" are where the probes have to be.
func TestPlacesOfAReadingFunction(t *testing.T) {
	for name, test := range map[string]struct {
		code       string
		enterDepth uint32
		exitDepths []uint32 // in the order of labels; nil: all 0
	}{
		"first instruction is emulated": {code: `enter: push %rbp; mov %rsp,%rbp; call *8(%rdi); pop %rbp; exit: ret`},
		"landing pad ahead":             {code: `endbr64; enter: push %rbx; call *8(%rdi); pop %rbx; exit: ret`},
		"nothing is emulated":           {code: `enter: endbr64; sub $24,%rsp; call *8(%rdi); add $24,%rsp; exit: ret`},
		"emulated jump behind a frame": {
			code: `sub $24,%rsp; test %edx,%edx; enter: js 1f; call *8(%rdi); jmp 2f; 1: mov $-1,%eax; 2: add $24,%rsp; exit: ret`, enterDepth: 24,
		},
		"argument changes first":            {code: `enter: sub $8,%rsp; movslq %edx,%rdx; test %rdx,%rdx; js 1f; call *8(%rdi); 1: add $8,%rsp; exit: ret`},
		"part of an argument changes first": {code: `enter: sub $8,%rsp; xor %dl,%dl; js 1f; call *8(%rdi); 1: add $8,%rsp; exit: ret`},
		"other register changes first":      {code: `mov %rdx,%rcx; enter: je 1f; call *8(%rdi); 1: exit: ret`},
		"loop to the emulated jump":         {code: `enter: test %edx,%edx; 1: js 2f; call *8(%rdi); jmp 1b; 2: exit: ret`},
		"stack canary": {
			code: `sub $24,%rsp; mov %fs:0x28,%rax; mov %rax,8(%rsp); test %edx,%edx; enter: js 1f; call *8(%rdi)
				1: mov 8(%rsp),%rdx; sub %fs:0x28,%rdx; exit: jne 2f; add $24,%rsp; xor %edx,%edx; ret; 2: ud2`,
			enterDepth: 24, exitDepths: []uint32{24},
		},
		"stack canary in a register": {
			code:       `enter: push %rbx; call *8(%rdi); mov %fs:0x28,%rcx; cmp 8(%rsp),%rcx; exit: jne 2f; pop %rbx; ret; 2: ud2`,
			exitDepths: []uint32{8},
		},
		"canary, but the result changes behind it": {
			code: `enter: push %rbx; call *8(%rdi); mov %eax,%ebx; mov 8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 2f; mov %ebx,%eax; pop %rbx; exit: ret; 2: ud2`,
		},
		"canary, but others come in behind it": {
			code: `enter: push %rbx; je 1f; call *8(%rdi); mov 8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 2f; 1: pop %rbx; exit: ret; 2: ud2`,
		},
		"jump ahead of the exit that is not a canary's": {
			code: `enter: push %rbx; 1: call *8(%rdi); test %eax,%eax; js 1b; pop %rbx; exit: ret`,
		},
		"several exits": {
			code: `enter: push %rbx; je 1f; call *8(%rdi); pop %rbx; exit_1: ret; 1: xor %eax,%eax; pop %rbx; exit_2: ret`,
		},
		"return with a prefix": {code: `enter: push %rbx; pop %rbx; exit: repz ret`},
		"part elsewhere": {
			code: `enter: push %rbx; test %edx,%edx; js cold; 1: call *8(%rdi); pop %rbx; exit_1: ret
				.cfi_endproc; .section .text.unlikely,"ax"; .cfi_startproc
				cold: test %esi,%esi; je 1b; mov $-1,%eax; pop %rbx; exit_2: ret; .cfi_endproc; .text; .cfi_startproc; ud2`,
		},
		"ends in another function": {
			code: `enter: je other; call *8(%rdi); exit_1: ret
				.cfi_endproc; .cfi_startproc; other: push %rbx; call *8(%rdi); pop %rbx; exit_2: ret`,
		},
		"ends in an exported function": {
			code: `xor %r8d,%r8d; enter: jmp other@PLT; .cfi_endproc
				.globl other; .type other, @function; .cfi_startproc; other: push %rbx; call *8(%rdi); pop %rbx; exit: ret`,
		},
		"ends in an exported function without a linkage table": {
			code: `enter: push %rbx; pop %rbx; jmp *other@GOTPCREL(%rip); .cfi_endproc
				.globl other; .type other, @function; .cfi_startproc; other: push %rbx; call *8(%rdi); pop %rbx; exit: ret`,
		},
		"calls what never returns at its end": {code: `enter: js 1f; call *8(%rdi); exit: ret; 1: call *16(%rdi)`},
		"switch": {
			code: `enter: push %rbx; cmp $1,%edx; ja 1f; mov %edx,%eax; lea 9f(%rip),%rdx; movslq (%rdx,%rax,4),%rax; add %rdx,%rax; jmp *%rax
				1: pop %rbx; exit_1: ret; 2: xor %eax,%eax; pop %rbx; exit_2: ret; 3: mov $1,%eax; pop %rbx; exit_3: ret
				.section .rodata; .p2align 2; 9: .long 2b-9b, 3b-9b; .text`,
		},
		"switch without landing pads": {
			code: `endbr64; enter: push %rbx; cmp $1,%edx; ja 1f; lea 9f(%rip),%rcx; mov %edx,%edx; movslq (%rcx,%rdx,4),%rax; add %rcx,%rax; notrack jmp *%rax
				1: pop %rbx; exit_1: ret; 2: xor %eax,%eax; pop %rbx; exit_2: ret
				.section .rodata; .p2align 2; 9: .long 1b-9b, 2b-9b; .text`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			content := assemble(t, cFunction("SSL_read", test.code))
			lib, err := find(content)
			require.NoError(t, err)
			assert.Equal(t, OpenSSL, lib.Kind)
			want := []Probe{{Call: SSLRead, Place: Enter, Offset: labels(t, content, "enter")[0], Depth: test.enterDepth}}
			for i, off := range labels(t, content, "exit") {
				p := Probe{Call: SSLRead, Place: Exit, Offset: off}
				if test.exitDepths != nil {
					p.Depth = test.exitDepths[i]
				}
				want = append(want, p)
			}
			assert.ElementsMatch(t, want, lib.Probes)
		})
	}
}

func TestFunctionsWhoseExitsAreNotKnownAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		code string
		want error
	}{
		"jump through a register": {`call *8(%rdi); jmp *%rax`, errIndirect},
		"jump through memory":     {`call *8(%rdi); jmp *8(%rdi)`, errIndirect},
		"switch without a bound": {
			`push %rbx; mov %edx,%eax; lea 9f(%rip),%rdx; movslq (%rdx,%rax,4),%rax; add %rdx,%rax; jmp *%rax; 1: ret
				.section .rodata; 9: .long 1b-9b; .text`, errIndirect,
		},
		"switch whose table is changed": {
			`push %rbx; cmp $1,%edx; ja 1f; lea 9f(%rip),%rdx; movslq (%rdx,%rax,4),%rax; call *%rdi; add %rdx,%rax; jmp *%rax; 1: ret
				.section .rodata; 9: .long 1b-9b, 1b-9b; .text`, errIndirect,
		},
		"ends in another library":                 {`xor %eax,%eax; jmp elsewhere@PLT`, errImported},
		"runs out":                                {`push %rbx; pop %rbx`, errRunsOut},
		"never returns":                           {`push %rbx; 1: jmp 1b`, errNoExit},
		"begins with a loop":                      {`2: test %edx,%edx; je 1f; call *8(%rdi); jmp 2b; 1: ret`, errLoop},
		"unknown instruction":                     {`.byte 0x0f, 0x0a; ret`, errUndecoded},
		"jump into an instruction":                {`push %rbx; je 1f+1; 1: mov $0xc3c3c3c3,%eax; ret`, errOverlapping},
		"jump to where there is no code":          {`push %rbx; je SSL_read+0x100000; ret`, errUnmapped},
		"without unwinding information":           {".cfi_endproc; ret; .cfi_startproc", errNoUnwinding},
		"jump to what has none":                   {"push %rbx; je 1f; ret; .cfi_endproc; .p2align 4; 1: ret; .cfi_startproc; ud2", errNoUnwinding},
		"too large":                               {".rept 20000; nop; .endr; ret", errTooLarge},
		"ends in another function that is probed": {"jmp SSL_write; .cfi_endproc\n" + cFunction("SSL_write", "ret") + ".cfi_startproc; ud2", errShared},
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := find(assemble(t, cFunction("SSL_read", test.code)))
			require.ErrorIs(t, err, test.want)
			assert.ErrorContains(t, err, "OpenSSL: SSL_read: ")
			require.NotNil(t, lib)
			assert.Equal(t, OpenSSL, lib.Kind)
			assert.Empty(t, lib.Probes)
		})
	}
}

func TestFunctionsThatAreOnlyEnteredNeedNoExits(t *testing.T) {
	content := assemble(t, cFunction("BIO_write", `enter: mov 8(%rdi),%rax; test %rax,%rax; je 1f; jmp *%rax; 1: ret`))
	lib, err := find(content)
	require.NoError(t, err)
	assert.Equal(t, []Probe{{Call: BIOWrite, Place: Enter, Offset: labels(t, content, "enter")[0]}}, lib.Probes, "the first instruction: what jumps where is not known")
}
