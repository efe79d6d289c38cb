package tlslib

import (
	"bytes"
	"cmp"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// enterCounted is where a function with four arguments is entered at an instruction that is emulated: the first three are in their registers, and
// the fourth is in its own or has been moved to that of the fifth.
func (x86) enterCounted(b *body) (p place, ok bool) {
	depth, gone, moved := uint32(0), false, false
	for i := b.instructions[b.start]; i != nil && (i.at == b.start || !b.targets[i.at]); i = b.instructions[i.end()] {
		if i.cheap {
			return place{at: i.at, depth: depth, moved: gone}, !gone || moved
		}
		e := x86Effect(i)
		if i.flow != next || !e.known || e.writesAny(cArguments[:3]) || e.popped > 0 {
			break
		}
		in := x86Decoded(i)
		if e.writes == general(x86asm.R8) {
			moved = !gone && in.Op == x86asm.MOV && in.Args[0] == x86asm.R8 && in.Args[1] == x86asm.RCX
		}
		gone = gone || e.writes == general(x86asm.RCX)
		depth += uint32(-e.popped)
	}
	return place{}, false
}

// emulatedExits are instructions that are emulated, and one of which each call comes by when its result is final and in its register: a jump to the
// end, or one ahead of it that leads elsewhere only if the result is -1. Such a call may come by another one later. ok is false if some calls come
// by none.
func (m x86) emulatedExits(b *body) (exits []place, ok bool) {
	depths, ok := x86Depths(b)
	if !ok || len(b.returns) == 0 {
		return nil, false
	}
	jumps := b.jumpsTo()
	found, seen := make(map[uint64]place), make(map[uint64]bool)
	todo := slices.Clone(b.returns)
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		ahead := slices.Clone(jumps[at])
		if i := b.before(at); i != nil {
			ahead = append(ahead, i)
		}
		if at == b.start || len(ahead) == 0 {
			return nil, false
		}
		for _, i := range ahead {
			depth, known := depths[i.at]
			switch emulated := known && i.cheap; {
			case emulated && i.flow == jump && b.straight(at, changesResult):
				found[i.at] = place{at: i.at, depth: depth}
			case emulated && i.flow == branch && b.straight(i.end(), changesResult) && isFailureCheck(b, i):
				found[i.at] = place{at: i.at, depth: depth, goesOn: true}
			case i.flow == call || i.flow == next && changesResult(i):
				return nil, false
			default:
				todo = append(todo, i.at)
			}
		}
	}
	for _, p := range found {
		exits = append(exits, p)
	}
	slices.SortFunc(exits, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	return exits, len(exits) > 0
}

// changesResult says whether an instruction changes the register of the result, or may.
func changesResult(i *instruction) bool {
	e := x86Effect(i)
	in := x86Decoded(i)
	if in.Op == x86asm.LEA && in.Args[0] == x86asm.RSP { // the epilogue of a frame
		return false
	}
	return i.flow == next && (!e.known || e.writesAny([]x86asm.Reg{x86asm.RAX}))
}

// isFailureCheck: cmp $-1,%eax; je.
func isFailureCheck(b *body, je *instruction) bool {
	compare := b.before(je.at)
	if compare == nil || b.targets[je.at] || x86Decoded(je).Op != x86asm.JE {
		return false
	}
	in := x86Decoded(compare)
	n, ok := in.Args[1].(x86asm.Imm)
	return in.Op == x86asm.CMP && in.Args[0] == x86asm.EAX && ok && int32(n) == -1
}

// x86Depths is how far the stack pointer is below its value at the begin of the function, ahead of each instruction of which that is known. It returns
// false if it is not the same on all ways there.
func x86Depths(b *body) (depths map[uint64]uint32, ok bool) {
	depths = map[uint64]uint32{b.start: 0}
	todo := []uint64{b.start}
	for len(todo) > 0 {
		i := b.instructions[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if i == nil {
			continue
		}
		popped, known := x86Popped(i)
		depth := int64(depths[i.at]) - int64(popped)
		if !known || i.flow == ret || i.flow == stop || i.flow == indirect {
			continue
		}
		if depth < 0 || depth > maxDistance {
			return nil, false
		}
		var successors []uint64
		if i.flow != jump {
			successors = append(successors, i.end())
		}
		if i.flow == jump || i.flow == branch {
			successors = append(successors, i.target)
		}
		for _, at := range successors {
			if other, found := depths[at]; !found {
				depths[at] = uint32(depth)
				todo = append(todo, at)
			} else if other != uint32(depth) {
				return nil, false
			}
		}
	}
	return depths, true
}

// x86Popped is by how much an instruction raises the stack pointer; a call has returned by then.
func x86Popped(i *instruction) (bytes int, known bool) {
	if i.flow == call {
		return 0, true
	}
	e := x86Effect(i)
	if e.known {
		return e.popped, true
	}
	switch in := x86Decoded(i); in.Op {
	case x86asm.PUSH, x86asm.POP, x86asm.PUSHFQ, x86asm.POPFQ, x86asm.LEAVE, x86asm.ENTER:
		return 0, false
	default:
		r, ok := in.Args[0].(x86asm.Reg)
		return 0, !ok || general(r) != general(x86asm.RSP)
	}
}

// returned: [endbr64]; lea address(%rip),%rax; ret, or mov $address,%eax; ret.
func (m x86) returned(im *image, at uint64) (addr uint64, ok bool) {
	code, err := im.code(at, 16)
	if at == 0 || err != nil {
		return 0, false
	}
	rest := bytes.TrimPrefix(code, endbr64)
	lea, err := m.decode(rest, at+uint64(len(code)-len(rest)))
	if err != nil || int(lea.size) >= len(rest) || rest[lea.size] != 0xc3 {
		return 0, false
	}
	in := x86Decoded(&lea)
	if from, isMem := in.Args[1].(x86asm.Mem); isMem && in.Op == x86asm.LEA && in.Args[0] == x86asm.RAX && from.Base == x86asm.RIP {
		return lea.end() + uint64(from.Disp), true
	}
	return m.constant(im, at)
}

// slots are the distances at which tables of functions have those that a function calls, or ends in.
//
//	call *n(R), or mov n(R),R; ...; jmp *R
func (x86) slots(b *body) (slots []uint64) {
	for _, i := range b.instructions {
		in := x86Decoded(i)
		if in.Op != x86asm.CALL && in.Op != x86asm.JMP {
			continue
		}
		from, ok := in.Args[0].(x86asm.Mem)
		if r, isRegister := in.Args[0].(x86asm.Reg); isRegister {
			if load, address := x86WriterOf(b, i.at, r); load != nil && address.Op == x86asm.MOV {
				from, ok = address.Args[1].(x86asm.Mem)
			}
		}
		if ok && from.Base != 0 && from.Base != x86asm.RIP && from.Index == 0 && from.Segment == 0 && from.Disp >= 0 {
			slots = append(slots, uint64(from.Disp))
		}
	}
	return slots
}
