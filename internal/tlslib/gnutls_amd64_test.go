package tlslib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gnuTLSOf is a library whose records are sent by some code; a session has the functions for it at 0x5e8 and 0x5f0.
func gnuTLSOf(code string) string {
	return cFunction("gnutls_record_recv", "call *8(%rdi); ret") +
		cFunction(gnuTLSSetPush, `endbr64; mov %rsi,0x5e8(%rdi); movq $0,0x5f0(%rdi); ret`) +
		cFunction(gnuTLSSetVectorPush, `movq $0,0x5e8(%rdi); mov %rsi,0x5f0(%rdi); ret`) + cFunction("flush", code)
}

const (
	rax = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r12 = 12
	r13 = 13
	r15 = 15
)

func TestPlacesWhereGnuTLSSendsRecords(t *testing.T) {
	for name, test := range map[string]struct {
		code string
		call Call
		want Push
	}{
		"bytes": {
			`mov %r15,%rdx; mov %rbp,%rsi; push: mov %r14,%rdi; call *0x5e8(%r13); ret`, GnuTLSPush, Push{Session: r13, Bytes: rsi, Count: rdx},
		},
		"vector": {
			`mov $1,%edx; mov %rbx,%rsi; push: mov %r14,%rdi; call *0x5f0(%r13); ret`, GnuTLSPushVector, Push{Session: r13, Bytes: rsi},
		},
		"bytes are the last argument": {
			`mov %r14,%rdi; mov %rbp,%rdx; push: mov %rbx,%rsi; call *0x5e8(%r12); ret`, GnuTLSPush, Push{Session: r12, Bytes: rbx, Count: rdx},
		},
		"count is the last argument": {
			`mov %r14,%rdi; mov %rbp,%rsi; push: mov %ebx,%edx; call *0x5e8(%r12); ret`, GnuTLSPush, Push{Session: r12, Bytes: rsi, Count: rbx},
		},
		"vector on the stack is the last argument": {
			`mov %r14,%rdi; mov %ebp,%edx; push: lea 0x20(%rsp),%rsi; call *0x5f0(%rbx); ret`, GnuTLSPushVector,
			Push{Session: rbx, Bytes: rsp, Displacement: 0x20},
		},
		"count of a vector is the last argument": {
			`mov %r14,%rdi; lea -8(%rbp),%rsi; push: mov $1,%edx; call *0x5f0(%rbx); ret`, GnuTLSPushVector, Push{Session: rbx, Bytes: rsi},
		},
		"loaded first": {
			`mov 0x5f0(%rbp),%rax; mov %ebx,8(%rsp); test %rax,%rax; je 2f; cmp $1,%r15d; jne 1f; movzwl 0x6e8(%rbp),%ecx; cmp %ebx,%ecx; jb 2f
				1: mov %r12d,%edx; lea 0x20(%rsp),%rsi; push: mov %r14,%rdi; call *%rax; 2: ret`, GnuTLSPushVector,
			Push{Session: rbp, Bytes: rsi},
		},
	} {
		t.Run(name, func(t *testing.T) {
			content := assemble(t, gnuTLSOf(test.code))
			lib, err := find(content)
			require.NoError(t, err)
			assert.Equal(t, GnuTLS, lib.Kind)
			want := Probe{Call: test.call, Place: Enter, Offset: labels(t, content, "push")[0], Push: test.want}
			assert.Equal(t, []Probe{want}, lib.Probes[2:])
		})
	}
}

func TestGnuTLSWhoseWayToSendRecordsIsNotKnownIsRefused(t *testing.T) {
	setters := func(bytes, vector string) string {
		return cFunction("gnutls_record_recv", "ret") + cFunction(gnuTLSSetPush, bytes) + cFunction(gnuTLSSetVectorPush, vector)
	}
	for name, code := range map[string]string{
		"no functions to set it":     cFunction("gnutls_record_recv", "ret"),
		"the same field":             setters("mov %rsi,0x5e8(%rdi); ret", "mov %rsi,0x5e8(%rdi); ret"),
		"two fields":                 setters("mov %rsi,0x5e8(%rdi); mov %rsi,0x5f8(%rdi); ret", "mov %rsi,0x5f0(%rdi); ret"),
		"a field of another object":  setters("mov 8(%rdi),%rax; mov %rsi,0x5e8(%rax); ret", "mov %rsi,0x5f0(%rdi); ret"),
		"nothing calls it":           gnuTLSOf("mov 0x5e8(%rdi),%rax; ret"),
		"arguments in memory":        gnuTLSOf("mov %rbx,%rdi; mov 8(%rsp),%rsi; call *0x5e8(%r13); ret"),
		"session is lost":            gnuTLSOf("mov 0x5e8(%rbx),%rax; mov %rcx,%rbx; mov %r14,%rdi; call *%rax; ret"),
		"function is lost":           gnuTLSOf("mov 0x5e8(%rbx),%rax; mov 8(%rbx),%rax; mov %r14,%rdi; call *%rax; ret"),
		"another call in between":    gnuTLSOf("mov 0x5e8(%rbx),%rbp; call *8(%rdi); mov %r14,%rdi; call *%rbp; ret"),
		"others come in":             gnuTLSOf("test %edx,%edx; je 1f; mov 0x5e8(%rbx),%rax; nop; 1: mov %r14,%rdi; call *%rax; ret"),
		"others come in at the call": gnuTLSOf("test %edx,%edx; je 1f; mov %r14,%rdi; 1: call *0x5e8(%rbx); ret"),
		"a field near the begin":     setters("mov %rsi,0x48(%rdi); ret", "mov %rsi,0x5f0(%rdi); ret"),
		"one way or the other":       setters("test %rsi,%rsi; je 1f; mov %rsi,0x5e8(%rdi); 1: ret", "mov %rsi,0x5f0(%rdi); ret"),
		"both halves of a vector":    setters("movq %rsi,%xmm0; punpcklqdq %xmm0,%xmm0; movups %xmm0,0x5e8(%rdi); ret", "mov %rsi,0x5f0(%rdi); ret"),
		"another argument":           setters("mov %rdx,%rsi; mov %rsi,0x5e8(%rdi); ret", "mov %rsi,0x5f0(%rdi); ret"),
		"another vector":             setters("movq %rsi,%xmm0; movq %rdi,%xmm0; movups %xmm0,0x5e8(%rdi); ret", "mov %rsi,0x5f0(%rdi); ret"),
		"an element of a table":      gnuTLSOf("mov %r14,%rdi; call *0x5e8(%rbx,%rcx,8); ret"),
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := find(assemble(t, code))
			require.ErrorIs(t, err, errNoPush)
			require.NotNil(t, lib)
			assert.Empty(t, lib.Probes)
		})
	}
}

func TestFieldsThatAreStoredWithOthersAreFound(t *testing.T) {
	content := assemble(t, cFunction("gnutls_record_recv", "call *8(%rdi); ret")+
		cFunction(gnuTLSSetPush, `endbr64; movq %rsi,%xmm0; movups %xmm0,0x648(%rdi); ret`)+
		cFunction(gnuTLSSetVectorPush, `pxor %xmm0,%xmm0; movq %rsi,%xmm1; punpcklqdq %xmm1,%xmm0; movups %xmm0,0x648(%rdi); ret`)+
		cFunction("flush", `push_1: mov %r14,%rdi; call *0x648(%rbx); push_2: mov %r14,%rdi; call *0x650(%rbx); ret`))
	lib, err := find(content)
	require.NoError(t, err)
	places := labels(t, content, "push")
	assert.Equal(t, []Probe{
		{Call: GnuTLSPush, Place: Enter, Offset: places[0], Push: Push{Session: rbx, Bytes: rsi, Count: rdx}},
		{Call: GnuTLSPushVector, Place: Enter, Offset: places[1], Push: Push{Session: rbx, Bytes: rsi}},
	}, lib.Probes[2:])
}

func TestAFunctionOfGnuTLSThatHandsOverIsNotProbed(t *testing.T) {
	send2 := ".globl gnutls_record_send2\n" + cFunction("gnutls_record_send2", "push %rbx; call *8(%rdi); pop %rbx; ret")
	flush := "mov %r14,%rdi; call *0x5e8(%r13); ret"
	for name, test := range map[string]struct {
		send string
		own  int
		err  error
	}{
		"hands over":          {"xor %ecx,%ecx; jmp gnutls_record_send2@PLT", 0, nil},
		"calls it":            {"sub $8,%rsp; call gnutls_record_send2@PLT; add $8,%rsp; ret", 2, nil},
		"hands over at times": {"cmpl $0,8(%rdi); je 1f; jmp gnutls_record_send2@PLT; 1: mov %edx,%eax; ret", 0, errShared},
		"there is no other":   {"push %rbx; call *8(%rdi); pop %rbx; ret", 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := find(assemble(t, gnuTLSOf(flush)+send2+cFunction("gnutls_record_send", test.send)))
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
				return
			}
			require.NoError(t, err)
			own := 0
			for _, p := range lib.Probes {
				if p.Call == GnuTLSSend {
					own++
				}
			}
			assert.Equal(t, test.own, own)
		})
	}
}
