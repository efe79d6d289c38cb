package tlslib

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// receiving are the functions of GnuTLS that receive, which hand over to another one, and what else the library needs.
func receiving(seq, shared string) string {
	return cFunction("gnutls_record_recv", `sub $8,%rsp; test %rdx,%rdx; je 1f; mov %rdx,%rcx; mov %rsi,%rdx; mov $23,%esi; add $8,%rsp; jmp receive
			1: xor %eax,%eax; add $8,%rsp; own: ret`) +
		cFunction("gnutls_record_recv_seq", seq) + strings.Replace(cFunction("receive", shared), ".globl receive\n", "", 1) +
		cFunction(gnuTLSSetPush, "mov %rsi,0x5e8(%rdi); ret") + cFunction(gnuTLSSetVectorPush, "mov %rsi,0x5f0(%rdi); ret") +
		cFunction("flush", "mov %r14,%rdi; call *0x5e8(%r13); ret")
}

func TestArgumentsThatGnuTLSKeepsWhereItReceives(t *testing.T) {
	const (
		seq    = `mov %rcx,%r8; mov %rdx,%rcx; mov %rsi,%rdx; mov $23,%esi; jmp receive`
		begins = `push %r15; mov %esi,%r15d; push %r13; mov %rdx,%r13; push %rbx; mov %rdi,%rbx; cmp $21,%esi; je 1f; `
		ends   = `exit: pop %rbx; pop %r13; pop %r15; ret`
	)
	kept := Kept{Known: true, Object: rbx, Bytes: r13, Type: r15}
	for name, test := range map[string]struct {
		seq, shared string
		depth       uint32
		want        Kept
	}{
		"saved":                            {seq, begins + `call *8(%rdi); 1: ` + ends, 24, kept},
		"saved, and a frame":               {seq, begins + `call *8(%rdi); 1: exit: add $8,%rsp; pop %rbx; pop %r13; pop %r15; ret`, 32, kept},
		"the result is set first":          {seq, begins + `call *8(%rdi); add $8,%rsp; 1: movslq %ebp,%rax; ` + ends, 24, kept},
		"another type":                     {strings.Replace(seq, "$23", "$22", 1), begins + `call *8(%rdi); 1: pop %rbx; pop %r13; pop %r15; exit: ret`, 0, Kept{}},
		"a type that is not known":         {strings.Replace(seq, "$23", "%edx", 1), begins + `call *8(%rdi); 1: pop %rbx; pop %r13; pop %r15; exit: ret`, 0, Kept{}},
		"one is changed later":             {seq, begins + `call *8(%rdi); mov %rax,%r13; 1: pop %rbx; pop %r13; pop %r15; exit: ret`, 0, Kept{}},
		"one is given back before others":  {seq, begins + `call *8(%rdi); pop %rbx; mov %ebp,%eax; pop %r13; 1: pop %r15; exit: ret`, 0, Kept{}},
		"others come in behind":            {seq, begins + `call *8(%rdi); pop %rbx; 1: pop %r13; pop %r15; exit: ret`, 0, Kept{}},
		"the result is the last":           {seq, begins + `call *8(%rdi); 1: pop %rbx; pop %r13; pop %r15; mov %ebp,%eax; exit: ret`, 0, Kept{}},
		"it does not keep where bytes are": {seq, `push %r15; mov %esi,%r15d; push %rbx; mov %rdi,%rbx; call *8(%rdi); pop %rbx; pop %r15; exit: ret`, 0, Kept{}},
	} {
		t.Run(name, func(t *testing.T) {
			content := assemble(t, receiving(test.seq, test.shared))
			lib, err := find(content)
			require.NoError(t, err)
			exit, own := labels(t, content, "exit")[0], labels(t, content, "own")[0]
			var exits []Probe
			for _, p := range lib.Probes {
				if p.Place == Exit {
					exits = append(exits, p)
				}
			}
			want := Probe{Place: Exit, Offset: exit, Depth: test.depth, Kept: test.want}
			recv, seq := want, want
			recv.Call, seq.Call = GnuTLSRecv, GnuTLSRecvSeq
			assert.ElementsMatch(t, []Probe{recv, {Call: GnuTLSRecv, Place: Exit, Offset: own}, seq}, exits)
		})
	}
}
