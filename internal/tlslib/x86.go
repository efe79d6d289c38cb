package tlslib

import (
	"bytes"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// x86 is amd64. What a probe costs there was measured on Linux 6.18: 0.8 µs at an instruction that the kernel emulates, 4 to 5 µs at
// any other.
type x86 struct{}

var (
	endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	// cArguments are the registers of arguments (System V ABI for AMD64, 3.2.3).
	cArguments = [...]x86asm.Reg{x86asm.RDI, x86asm.RSI, x86asm.RDX, x86asm.RCX}
)

func (x86) decode(code []byte, at uint64) (instruction, error) {
	i := instruction{at: at}
	if bytes.HasPrefix(code, endbr64) {
		i.size = uint8(len(endbr64))
		copy(i.code[:], endbr64)
		return i, nil
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Len == 0 || in.Len > len(i.code) {
		return i, errUndecoded
	}
	i.size = uint8(copy(i.code[:], code[:in.Len]))
	i.cheap = isEmulated(i.bytes())
	relative, direct := in.Args[0].(x86asm.Rel)
	i.target = i.end() + uint64(int64(relative))
	switch {
	case in.Op == x86asm.RET:
		i.flow = ret
	case in.Op == x86asm.CALL:
		i.flow = call
	case in.Op == x86asm.JMP && direct:
		i.flow = jump
	case in.Op == x86asm.JMP:
		i.flow = indirect
	case direct: // a conditional jump, LOOP, or XBEGIN, which names where it goes when it fails
		i.flow = branch
	case stops[in.Op]:
		i.flow = stop
	}
	return i, nil
}

// stub recognises an entry of the linkage table: [endbr64]; [bnd] jmp *slot(%rip).
func (m x86) stub(code []byte, at uint64) (slot uint64, ok bool) {
	rest := bytes.TrimPrefix(code, endbr64)
	i, err := m.decode(rest, at+uint64(len(code)-len(rest)))
	if err != nil || i.flow != indirect {
		return 0, false
	}
	to, ok := x86Decoded(&i).Args[0].(x86asm.Mem)
	return i.end() + uint64(to.Disp), ok && to.Base == x86asm.RIP
}

// stops are instructions after which the function does not go on. Those of a far or privileged kind do not occur in it.
var stops = map[x86asm.Op]bool{x86asm.UD1: true, x86asm.UD2: true, x86asm.HLT: true, x86asm.INT: true,
	x86asm.IRET: true, x86asm.IRETD: true, x86asm.IRETQ: true, x86asm.SYSRET: true, x86asm.SYSEXIT: true, x86asm.LRET: true, x86asm.LJMP: true}

// isEmulated says whether every kernel since 4.20 emulates an instruction: push of a register, nop, and jumps (arch/x86/kernel/uprobes.c,
// push_setup_xol_ops and branch_setup_xol_ops). A call is emulated, too, but is no place for a probe: the kernel would push the return
// address itself, and whether it then is on the shadow stack, too, was not tried. Longer nops are emulated by newer kernels only.
func isEmulated(code []byte) bool {
	switch c := code[0]; {
	case c&^7 == 0x50, c == 0x90, c == 0xeb, c == 0xe9, c&^15 == 0x70:
		return true
	case c == 0x41:
		return len(code) == 2 && code[1]&^7 == 0x50
	case c == 0x0f:
		return code[1]&^15 == 0x80
	}
	return false
}

// x86Decoded is an instruction of a body in full.
func x86Decoded(i *instruction) x86asm.Inst {
	in, _ := x86asm.Decode(i.bytes(), 64) // again, which was possible before; endbr64 becomes a nop, or nothing
	return in
}

func (x86) enter(b *body, n int) place {
	depth := uint32(0)
	for i := b.instructions[b.start]; i != nil; i = b.instructions[i.end()] {
		if i.at != b.start && b.targets[i.at] {
			break // from here on not once a call
		}
		if i.cheap {
			return place{at: i.at, depth: depth}
		}
		e := x86Effect(i)
		if i.flow != next || !e.known || e.writesAny(cArguments[:n]) || e.popped > 0 {
			break
		}
		depth += uint32(-e.popped)
	}
	return place{at: b.start}
}

// exit is the RET, or the jump of a check of the stack's canary ahead of it: where the canary is right, the jump leads to the RET,
// and the result does not change any more; where it is not, the program ends.
func (x86) exit(b *body, returns uint64) place {
	depth := uint32(0)
	for at := returns; !b.targets[at]; {
		i := b.before(at)
		if i == nil {
			break
		}
		if i.flow == branch && isCanaryCheck(b, i) {
			return place{at: i.at, depth: depth}
		}
		e := x86Effect(i)
		if i.flow != next || !e.known || e.writesAny([]x86asm.Reg{x86asm.RAX}) || e.popped < 0 {
			break
		}
		depth += uint32(e.popped)
		at = i.at
	}
	return place{at: returns}
}

// isCanaryCheck says whether a branch is the JNE of a check of the stack protector: the copy on the stack is compared with, or
// subtracted from, what is at %fs:0x28.
func isCanaryCheck(b *body, jne *instruction) bool {
	if x86Decoded(jne).Op != x86asm.JNE || b.targets[jne.at] || !jne.cheap {
		return false
	}
	compare := b.before(jne.at)
	if compare == nil {
		return false
	}
	in := x86Decoded(compare)
	if in.Op != x86asm.SUB && in.Op != x86asm.CMP && in.Op != x86asm.XOR {
		return false
	}
	if isCanary(in.Args[0]) || isCanary(in.Args[1]) {
		return true
	}
	load := b.before(compare.at)
	if load == nil || b.targets[compare.at] {
		return false
	}
	from := x86Decoded(load)
	return from.Op == x86asm.MOV && isCanary(from.Args[1]) && (from.Args[0] == in.Args[0] || from.Args[0] == in.Args[1])
}

func isCanary(a x86asm.Arg) bool {
	m, ok := a.(x86asm.Mem)
	return ok && m.Segment == x86asm.FS && m.Base == 0 && m.Index == 0 && m.Disp == 0x28
}

func (x86) constant(im *image, at uint64) (uint64, bool) {
	code, err := im.code(at, 16)
	if err != nil {
		return 0, false
	}
	code = bytes.TrimPrefix(code, endbr64)
	if len(code) < 6 || code[0] != 0xb8 || code[5] != 0xc3 { // mov $n, %eax; ret
		return 0, false
	}
	return uint64(le.Uint32(code[1:])), true
}

func (x86) texts(b *body) (addresses []uint64) {
	for _, i := range b.instructions {
		if in := x86Decoded(i); in.Op == x86asm.LEA {
			if m, ok := in.Args[1].(x86asm.Mem); ok && m.Base == x86asm.RIP {
				addresses = append(addresses, i.end()+uint64(m.Disp))
			}
		}
	}
	slices.Sort(addresses)
	return addresses
}
