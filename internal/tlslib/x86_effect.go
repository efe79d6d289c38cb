package tlslib

import "golang.org/x/arch/x86/x86asm"

// effect is what an instruction does to registers, as far as that is known.
type effect struct {
	known  bool
	writes int // the general register that it changes besides the stack pointer, 0 to 15; -1: none
	popped int // by how much it raises the stack pointer, in bytes
}

func (e effect) writesAny(registers []x86asm.Reg) bool {
	for _, r := range registers {
		if e.writes == general(r) {
			return true
		}
	}
	return false
}

// readers change no general register; writers only their first operand.
var (
	readers = opSet(x86asm.TEST, x86asm.CMP, x86asm.NOP, x86asm.BT, x86asm.PUSH,
		x86asm.JA, x86asm.JAE, x86asm.JB, x86asm.JBE, x86asm.JE, x86asm.JG, x86asm.JGE, x86asm.JL, x86asm.JLE,
		x86asm.JNE, x86asm.JNO, x86asm.JNP, x86asm.JNS, x86asm.JO, x86asm.JP, x86asm.JS)
	writers = opSet(x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.ADD, x86asm.SUB, x86asm.XOR,
		x86asm.AND, x86asm.OR, x86asm.INC, x86asm.DEC, x86asm.NEG, x86asm.NOT, x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.POP,
		x86asm.MOVAPS, x86asm.MOVUPS, x86asm.MOVD, x86asm.MOVQ, x86asm.XORPS, x86asm.PXOR)
)

func opSet(ops ...x86asm.Op) map[x86asm.Op]bool {
	set := make(map[x86asm.Op]bool, len(ops))
	for _, op := range ops {
		set[op] = true
	}
	return set
}

func x86Effect(i *instruction) effect {
	if string(i.bytes()) == string(endbr64) {
		return effect{known: true, writes: -1}
	}
	in := x86Decoded(i)
	e := effect{known: readers[in.Op] || writers[in.Op], writes: -1}
	if r, ok := in.Args[0].(x86asm.Reg); ok && writers[in.Op] {
		e.writes = general(r)
	}
	switch {
	case in.Op == x86asm.PUSH:
		e.popped = -8
		e.known = isWhole(in.Args[0])
	case in.Op == x86asm.POP:
		e.popped = 8
		e.known = isWhole(in.Args[0]) && e.writes != general(x86asm.RSP)
	case e.writes == general(x86asm.RSP):
		n, ok := in.Args[1].(x86asm.Imm)
		e.known = ok && in.Args[0] == x86asm.RSP && (in.Op == x86asm.ADD || in.Op == x86asm.SUB) && n > -1<<20 && n < 1<<20
		if e.popped = int(n); in.Op == x86asm.SUB {
			e.popped = -int(n)
		}
		e.writes = -1
	}
	return e
}

// isWhole: a general register, and all 64 bits of it.
func isWhole(a x86asm.Arg) bool {
	r, ok := a.(x86asm.Reg)
	return ok && x86asm.RAX <= r && r <= x86asm.R15
}

// general is the number of a general register, whatever part of it is meant; -1: it is another.
func general(r x86asm.Reg) int {
	for _, group := range [...]struct {
		first, last x86asm.Reg
		number      int
	}{
		{x86asm.AL, x86asm.BL, 0}, {x86asm.AH, x86asm.BH, 0}, {x86asm.SPB, x86asm.R15B, 4},
		{x86asm.AX, x86asm.R15W, 0}, {x86asm.EAX, x86asm.R15L, 0}, {x86asm.RAX, x86asm.R15, 0},
	} {
		if group.first <= r && r <= group.last {
			return int(r-group.first) + group.number
		}
	}
	return -1
}
