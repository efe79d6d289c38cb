package tlslib

import "golang.org/x/arch/x86/x86asm"

// goArguments are receiver, pointer and length, and the goroutine (Go's internal ABI).
var goArguments = []x86asm.Reg{x86asm.RAX, x86asm.RBX, x86asm.RCX, x86asm.R14}

// goEnter is the push of the frame pointer behind the check of the stack's size; up to Go 1.20, which has none, the first
// instruction that moves the stack pointer.
func (x86) goEnter(b *body) (place, error) {
	at := b.start
	for range maxPrologue {
		i := b.instructions[at]
		if i == nil || at != b.start && b.targets[at] {
			break
		}
		e := x86Effect(i)
		if e.popped != 0 {
			return place{at: at}, nil
		}
		if !e.known || e.writesAny(goArguments) || i.flow != next && i.flow != branch {
			break
		}
		at = i.end()
	}
	return place{}, errPrologue
}

// deferral: the function calls through a register, and takes its results from the stack behind that.
//
//	call *R; mov n(%rsp),%rax; ...; add $m,%rsp; pop %rbp; ret
func (x86) deferral(b *body) (d deferral) {
	for _, at := range b.returns {
		depth, result, ok := x86Deferral(b, at)
		if !ok {
			continue
		}
		if len(d.returns) > 0 && (d.depth != depth || d.result != result) {
			return deferral{}
		}
		d = deferral{append(d.returns, at), depth, result}
	}
	return d
}

// x86Deferral is where the result is on the stack when the function calls what it has deferred ahead of a RET.
func x86Deferral(b *body, returns uint64) (depth, result uint32, ok bool) {
	above := int64(-1) // the stack pointer
	for at := returns; !b.targets[at]; {
		i := b.before(at)
		if i == nil {
			break
		}
		in := x86Decoded(i)
		if i.flow == call {
			_, indirect := in.Args[0].(x86asm.Reg)
			return depth, depth - uint32(above), indirect && above >= 0 && above < int64(depth)
		}
		e := x86Effect(i)
		_, stores := in.Args[0].(x86asm.Mem)
		if i.flow != next || !e.known || e.popped < 0 || e.popped > 0 && above >= 0 || stores {
			break
		}
		if e.writesAny(goArguments[:1]) && above < 0 {
			m, loads := in.Args[1].(x86asm.Mem)
			if in.Op != x86asm.MOV || in.Args[0] != x86asm.RAX || !loads || m.Base != x86asm.RSP || m.Index != 0 || m.Segment != 0 || m.Disp < 0 {
				break
			}
			above = m.Disp
		}
		depth += uint32(e.popped)
		at = i.at
	}
	return 0, 0, false
}
