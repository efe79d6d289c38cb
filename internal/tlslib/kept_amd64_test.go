package tlslib

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assembled is the image with a function of assembly code, and its address.
func assembled(t *testing.T, code string) (*image, uint64) {
	t.Helper()
	content := assemble(t, cFunction("SSL_read", code))
	im, err := openImage(newFile(bytes.NewReader(content), int64(len(content))))
	require.NoError(t, err)
	symbols, err := im.cSymbols()
	require.NoError(t, err)
	return im, symbols["SSL_read"]
}

func TestArgumentsThatAFunctionKeeps(t *testing.T) {
	const (
		saves = `push %rbx; mov %rdi,%rbx; push %rbp; mov %rsi,%rbp; push %r12; mov %rcx,%r12; sub $8,%rsp; `
		ends  = `add $8,%rsp; pop %r12; pop %rbp; pop %rbx; ret`
		body  = `push %rbx; mov %rdi,%rbx; push %rbp; mov %rsi,%rbp; push %r12; mov %r8,%r12; push %r13; mov %ecx,%r13d; `
		over  = `pop %r13; pop %r12; pop %rbp; pop %rbx; ret`
	)
	inRegisters := Kept{Known: true, Object: 3, Bytes: 5, Count: 12}
	apart := inRegisters
	apart.Zero = 13
	for name, test := range map[string]struct {
		code string
		want Kept
	}{
		"saved":                                 {saves + `call *8(%rdi); ` + ends, inRegisters},
		"saved, and a call follows a branch":    {saves + `test %edx,%edx; je 1f; call *8(%rdi); 1: ` + ends, inRegisters},
		"one is changed later":                  {saves + `call *8(%rdi); add $1,%rbp; ` + ends, Kept{}},
		"a part of one is changed later":        {saves + `call *8(%rdi); mov $1,%bl; ` + ends, Kept{}},
		"one is exchanged later":                {saves + `call *8(%rdi); xchg %r12,%rdx; ` + ends, Kept{}},
		"one is given back before the end":      {saves + `call *8(%rdi); add $8,%rsp; pop %r12; call *%rax; pop %rbp; pop %rbx; ret`, Kept{}},
		"one is not saved":                      {`push %rbx; mov %rdi,%rbx; push %rbp; mov %rsi,%rbp; call *8(%rdi); pop %rbp; pop %rbx; ret`, Kept{}},
		"only half of one is saved":             {`push %rbx; mov %edi,%ebx; push %rbp; mov %rsi,%rbp; push %r12; mov %rcx,%r12; sub $8,%rsp; call *%rax; ` + ends, Kept{}},
		"an argument is changed before":         {`xor %edi,%edi; ` + saves + `call *%rax; ` + ends, Kept{}},
		"saved behind a call":                   {`push %rax; call *8(%rdi); pop %rax; ` + saves + ends, Kept{}},
		"saved in a loop":                       {`1: ` + saves + `call *8(%rdi); add $8,%rsp; pop %r12; pop %rbp; pop %rbx; test %eax,%eax; js 1b; ret`, Kept{}},
		"shared, and set apart by a zero":       {`mov %rcx,%r8; xor %ecx,%ecx; jmp 1f; 1: ` + body + `call *8(%rdi); ` + over, apart},
		"shared, and set apart by another":      {`mov %rcx,%r8; mov $1,%ecx; jmp 1f; 1: ` + body + `call *8(%rdi); ` + over, Kept{}},
		"shared, and set apart by what it gets": {`mov %rcx,%r8; mov %edx,%ecx; jmp 1f; 1: ` + body + `call *8(%rdi); ` + over, Kept{}},
	} {
		t.Run(name, func(t *testing.T) {
			im, start := assembled(t, test.code)
			b, err := im.walk(start)
			require.NoError(t, err)
			kept, ok := im.machine.kept(b)
			assert.Equal(t, test.want, kept)
			assert.Equal(t, test.want.Known, ok)
		})
	}
}

func TestArgumentsThatAMethodOfGoKeeps(t *testing.T) {
	const (
		begins = `1: cmp 16(%r14),%rsp; jbe 9f; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; `
		stores = `mov %rax,0x30(%rsp); mov %rbx,0x38(%rsp); `
		ends   = `call *%rdx; add $0x20,%rsp; pop %rbp; ret; 9: mov %rax,8(%rsp); mov %rbx,16(%rsp); call *%rsi; mov 8(%rsp),%rax; mov 16(%rsp),%rbx; jmp 1b`
	)
	for name, test := range map[string]struct {
		code string
		want bool
	}{
		"stored":                      {begins + stores + ends, true},
		"stored behind others":        {begins + `movups %xmm15,(%rsp); mov %rcx,0x40(%rsp); ` + stores + ends, true},
		"read again":                  {begins + stores + `mov 0x30(%rsp),%rcx; ` + ends, true},
		"one only":                    {begins + `mov %rax,0x30(%rsp); ` + ends, false},
		"elsewhere":                   {begins + `mov %rax,0x28(%rsp); mov %rbx,0x38(%rsp); ` + ends, false},
		"changed before":              {begins + `mov %rcx,%rbx; ` + stores + ends, false},
		"another is stored there":     {begins + stores + `mov %rcx,0x38(%rsp); ` + ends, false},
		"a part of it is overwritten": {begins + stores + `movups %xmm15,0x28(%rsp); ` + ends, false},
		"its address is taken":        {begins + stores + `lea 0x30(%rsp),%rcx; ` + ends, false},
		"stored behind a call":        {begins + `call *%rdx; ` + stores + ends, false},
	} {
		t.Run(name, func(t *testing.T) {
			im, start := assembled(t, test.code+"; 8:")
			piece, err := im.pieceAt(start)
			require.NoError(t, err)
			b, err := im.goBody(span{start, piece.end})
			require.NoError(t, err)
			assert.Equal(t, test.want, im.machine.goKept(b))
		})
	}
}
