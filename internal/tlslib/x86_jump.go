package tlslib

import "golang.org/x/arch/x86/x86asm"

const (
	maxTable  = 1 << 9 // cases of a switch
	maxBefore = 16     // instructions ahead of a jump through a table
)

// resolve knows two kinds of indirect jumps: those through the linkage table to a function of the same file, and those of a switch.
func (x86) resolve(im *image, b *body, at uint64) ([]uint64, error) {
	i := b.instructions[at]
	switch a := x86Decoded(i).Args[0].(type) {
	case x86asm.Mem:
		if a.Base == x86asm.RIP {
			target, err := im.linked(i.end() + uint64(a.Disp))
			return []uint64{target}, err
		}
		if a.Base == 0 && a.Scale == 8 {
			return im.absoluteTable(b, at, uint64(a.Disp))
		}
	case x86asm.Reg:
		return im.relativeTable(b, at, a)
	}
	return nil, errIndirect
}

// relativeTable is the form of position independent code: a table of distances to itself, of 4 bytes each.
//
//	cmp $last, index; ja default; ...; lea table(%rip), B; movslq (B,I,4), R; add B, R; jmp *R
func (im *image) relativeTable(b *body, at uint64, jump x86asm.Reg) ([]uint64, error) {
	add, sum := x86WriterOf(b, at, jump)
	if add == nil || sum.Op != x86asm.ADD {
		return nil, errIndirect
	}
	base, ok := sum.Args[1].(x86asm.Reg)
	if !ok {
		return nil, errIndirect
	}
	load, distance := x86WriterOf(b, add.at, jump)
	if load == nil || distance.Op != x86asm.MOVSXD {
		return nil, errIndirect
	}
	m, ok := distance.Args[1].(x86asm.Mem)
	if !ok || m.Base != base || m.Scale != 4 || m.Disp != 0 {
		return nil, errIndirect
	}
	lea, address := x86WriterOf(b, load.at, base)
	if lea == nil || address.Op != x86asm.LEA {
		return nil, errIndirect
	}
	from, ok := address.Args[1].(x86asm.Mem)
	if !ok || from.Base != x86asm.RIP {
		return nil, errIndirect
	}
	n, err := casesOf(b, at)
	if err != nil {
		return nil, err
	}
	table := lea.end() + uint64(from.Disp)
	targets := make([]uint64, n)
	for k := range targets {
		d, err := im.uint32At(table + uint64(k)*4)
		if err != nil {
			return nil, err
		}
		targets[k] = table + uint64(int64(int32(d)))
	}
	return targets, nil
}

// absoluteTable is the form of code that is not position independent: a table of addresses. The file has them as they are.
func (im *image) absoluteTable(b *body, at, table uint64) ([]uint64, error) {
	n, err := casesOf(b, at)
	if err != nil {
		return nil, err
	}
	targets := make([]uint64, n)
	for k := range targets {
		if targets[k], err = im.uint64At(table + uint64(k)*8); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// x86WriterOf is the last instruction ahead of at that changes a register, in straight-line code.
func x86WriterOf(b *body, at uint64, register x86asm.Reg) (*instruction, x86asm.Inst) {
	for range maxBefore {
		i := b.before(at)
		if i == nil || i.flow == call || b.targets[at] {
			break
		}
		e := x86Effect(i)
		if !e.known {
			break
		}
		if e.writesAny([]x86asm.Reg{register}) {
			return i, x86Decoded(i)
		}
		at = i.at
	}
	return nil, x86asm.Inst{}
}

// casesOf is how many cases a switch has: its index is compared with the last one ahead of the jump.
func casesOf(b *body, at uint64) (int, error) {
	for range maxBefore {
		i := b.before(at)
		if i == nil || i.flow == call {
			break
		}
		if i.flow == branch {
			compare := b.before(i.at)
			if x86Decoded(i).Op != x86asm.JA || compare == nil {
				break
			}
			in := x86Decoded(compare)
			last, ok := in.Args[1].(x86asm.Imm)
			if in.Op != x86asm.CMP || !ok || last < 0 || last >= maxTable {
				break
			}
			return int(last) + 1, nil
		}
		at = i.at
	}
	return 0, errIndirect
}
