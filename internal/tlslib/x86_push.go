package tlslib

import (
	"maps"
	"math"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// maxLoaded is how many instructions may be between the load of a function's address and its call.
const maxLoaded = 32

// xmm is which halves of a vector register have the second argument.
type xmm struct{ low, high bool }

// field is where a function stores its second argument, which is its only store of that: by MOV %rsi, n(%rdi), or with another word in a vector. The
// function has no jumps.
func (x86) field(b *body) (distance int64, ok bool) {
	vectors := map[x86asm.Arg]xmm{}
	found := 0
	for _, at := range slices.Sorted(maps.Keys(b.instructions)) {
		i := b.instructions[at]
		if i.flow != next && i.flow != ret {
			return 0, false
		}
		in := x86Decoded(i)
		if e := x86Effect(i); e.writesAny(cArguments[:2]) {
			return 0, false
		}
		to, store := in.Args[0].(x86asm.Mem)
		if !store {
			follow(vectors, in)
			continue
		}
		within, stores := int64(0), in.Op == x86asm.MOV && in.Args[1] == x86asm.RSI
		if v := vectors[in.Args[1]]; v.low || v.high {
			if in.Op != x86asm.MOVUPS && in.Op != x86asm.MOVAPS || v.low && v.high {
				return 0, false
			}
			stores = true
			if v.high {
				within = 8
			}
		}
		if !stores {
			continue
		}
		if !isField(to) || to.Base != x86asm.RDI {
			return 0, false
		}
		distance = to.Disp + within
		found++
	}
	return distance, found == 1 && distance > math.MaxInt8 && distance <= math.MaxInt32 // with a number of 4 bytes
}

// follow does to vector registers what an instruction does that may bring the second argument into them.
func follow(vectors map[x86asm.Arg]xmm, in x86asm.Inst) {
	switch to, from := in.Args[0], in.Args[1]; in.Op {
	case x86asm.MOVQ:
		vectors[to] = xmm{low: from == x86asm.RSI || vectors[from].low}
	case x86asm.PUNPCKLQDQ:
		vectors[to] = xmm{low: vectors[to].low, high: vectors[from].low}
	default:
		delete(vectors, to)
	}
}

func isField(m x86asm.Mem) bool { return m.Segment == 0 && m.Index == 0 && m.Base != x86asm.RIP }

// pushes are the calls through a field, of code that was decoded from its begin to its end.
func (x86) pushes(b *body, fields pushFields) (all []push) {
	for _, at := range slices.Sorted(maps.Keys(b.instructions)) {
		i := b.instructions[at]
		in := x86Decoded(i)
		for _, a := range in.Args[:2] {
			from, ok := a.(x86asm.Mem)
			if !ok || !isField(from) || from.Disp != fields.bytes && from.Disp != fields.vector {
				continue
			}
			call, behind := i, i.at
			if loaded, isLoad := in.Args[0].(x86asm.Reg); isLoad && in.Op == x86asm.MOV {
				if call = x86CallOf(b, i, loaded, from.Base); call == nil {
					continue
				}
			} else if in.Op != x86asm.CALL {
				continue
			} else {
				behind = 0
			}
			if p, ok := x86Arguments(b, call, behind, from.Base, from.Disp == fields.vector); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// x86CallOf is the call of what an instruction loads into a register, if neither that nor the session's register changes in between, and if nothing
// jumps there from elsewhere.
func x86CallOf(b *body, load *instruction, loaded, session x86asm.Reg) *instruction {
	var call *instruction
	at := load.end()
	for range maxLoaded {
		i := b.instructions[at]
		if i == nil {
			return nil
		}
		if x86Decoded(i).Op == x86asm.CALL {
			call = i
			break
		}
		e := x86Effect(i)
		if i.flow != next && i.flow != branch || !e.known || e.writesAny([]x86asm.Reg{loaded, session}) {
			return nil
		}
		at = i.end()
	}
	if call == nil || x86Decoded(call).Args[0] != loaded {
		return nil
	}
	for _, i := range b.instructions {
		outside := i.at < load.at || i.at >= call.at
		if (i.flow == jump || i.flow == branch) && outside && load.at < i.target && i.target <= call.at {
			return nil
		}
	}
	return call
}

// x86Arguments is the instruction ahead of a call, if that is behind another address, and where the arguments are there.
func x86Arguments(b *body, call *instruction, behind uint64, session x86asm.Reg, vector bool) (push, bool) {
	i := b.before(call.at)
	if i == nil || b.targets[call.at] || i.at <= behind || i.flow != next {
		return push{}, false
	}
	e := x86Effect(i)
	if !e.known || e.popped != 0 || e.writesAny([]x86asm.Reg{session}) {
		return push{}, false
	}
	in := x86Decoded(i)
	p := push{at: i.at, vector: vector, where: Push{Session: uint8(general(session)), Bytes: uint8(general(x86asm.RSI))}}
	if !vector {
		p.where.Count = uint8(general(x86asm.RDX))
	}
	switch {
	case e.writesAny([]x86asm.Reg{x86asm.RSI}):
		from, displacement, ok := x86Source(in)
		if !ok {
			return push{}, false
		}
		p.where.Bytes, p.where.Displacement = from, displacement
	case !vector && e.writesAny([]x86asm.Reg{x86asm.RDX}):
		from, displacement, ok := x86Source(in)
		if !ok || displacement != 0 {
			return push{}, false
		}
		p.where.Count = from
	}
	return p, true
}

// x86Source is what an instruction copies into a register: another one, plus a number.
func x86Source(in x86asm.Inst) (register uint8, displacement int16, ok bool) {
	switch a := in.Args[1].(type) {
	case x86asm.Reg:
		if in.Op == x86asm.MOV && general(a) >= 0 {
			return uint8(general(a)), 0, true
		}
	case x86asm.Mem:
		if in.Op == x86asm.LEA && isField(a) && general(a.Base) >= 0 && a.Disp >= math.MinInt16 && a.Disp <= math.MaxInt16 {
			return uint8(general(a.Base)), int16(a.Disp), true
		}
	}
	return 0, 0, false
}
