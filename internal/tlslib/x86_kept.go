package tlslib

import "golang.org/x/arch/x86/x86asm"

// calleeSaved are the general registers that a function has to leave as they were (System V ABI for AMD64, 3.2.1).
var calleeSaved = [...]x86asm.Reg{x86asm.RBX, x86asm.RBP, x86asm.R12, x86asm.R13, x86asm.R14, x86asm.R15}

// What a register has while a function begins.
type origin int8

const (
	unknown         origin = iota - 3
	applicationData        // the number of that type of record
	zero
	firstArgument // and the others behind it
)

// typeApplicationData: RFC 8446, 5.1.
const typeApplicationData = 23

// kept says which registers have the arguments that the function was entered with, at all its jumps: those that it saves at its beginning, and sets only
// there. A function that jumps to its body shares that with others: then one of the registers has to be zero, which sets its calls apart.
func (x86) kept(b *body) (k Kept, ok bool) {
	has, shared := x86Origins(b)
	var found [4]x86asm.Reg
	for _, r := range calleeSaved {
		o, known := has[r]
		if !known || !x86SetOnce(b, r) {
			continue
		}
		switch {
		case o == zero && shared:
			k.Zero = uint8(general(r))
		case o >= firstArgument:
			found[o] = r
		}
	}
	object, bytes, count := found[0], found[1], found[3]
	if object == 0 || bytes == 0 || count == 0 || shared && k.Zero == 0 {
		return Kept{}, false
	}
	k.Known, k.Object, k.Bytes, k.Count = true, uint8(general(object)), uint8(general(bytes)), uint8(general(count))
	return k, true
}

// keptOfRecords is kept of a function that calls another one to receive application data, which receives records of other types for others.
func (x86) keptOfRecords(b *body) (k Kept, ok bool) {
	has, _ := x86Origins(b)
	for _, r := range calleeSaved {
		o, known := has[r]
		if !known || !x86SetOnce(b, r) {
			continue
		}
		switch o {
		case firstArgument:
			k.Object = uint8(general(r))
		case firstArgument + 1:
			k.Bytes = uint8(general(r))
		case applicationData:
			k.Type = uint8(general(r))
		}
	}
	if k.Object == 0 || k.Bytes == 0 || k.Type == 0 {
		return Kept{}, false
	}
	k.Known = true
	return k, true
}

// epilogue is the first of the instructions ahead of a RET that do nothing but give registers and the stack back, if all that leads to it comes by
// there. The registers of what is kept have to be among them.
func (x86) epilogue(b *body, returns uint64, k Kept) (p place, ok bool) {
	p = place{at: returns, kept: k}
	given := map[int]bool{}
	for !b.targets[p.at] {
		i := b.before(p.at)
		if i == nil || i.flow != next {
			break
		}
		e := x86Effect(i)
		if !e.known || e.popped <= 0 || e.writesAny([]x86asm.Reg{x86asm.RAX}) {
			break
		}
		given[e.writes] = true
		p.at = i.at
		p.depth += uint32(e.popped)
	}
	return p, given[int(k.Object)] && given[int(k.Bytes)] && given[int(k.Type)]
}

// x86Origins is what the registers have that a function saves, when it calls or branches for the first time. shared: it has jumped until then.
func x86Origins(b *body) (saved map[x86asm.Reg]origin, shared bool) {
	has := map[int]origin{}
	for n, r := range cArguments {
		has[general(r)] = origin(n)
	}
	jumps, saved := b.jumpsTo(), map[x86asm.Reg]origin{}
	ways := 0 // by which an instruction is reached that is a target
	for i := b.instructions[b.start]; i != nil && len(jumps[i.at]) == ways; {
		in := x86Decoded(i)
		if i.flow == jump {
			shared, ways = true, 1
			i = b.instructions[i.target]
			continue
		}
		e := x86Effect(i)
		if i.flow != next || !e.known {
			break
		}
		if e.writes >= 0 {
			has[e.writes] = x86Origin(has, in)
			for _, r := range calleeSaved {
				if general(r) == e.writes {
					saved[r] = has[e.writes]
				}
			}
		}
		i, ways = b.instructions[i.end()], 0
	}
	return saved, shared
}

// x86Origin is what an instruction leaves in its register.
func x86Origin(has map[int]origin, in x86asm.Inst) origin {
	from, isRegister := in.Args[1].(x86asm.Reg)
	to, _ := in.Args[0].(x86asm.Reg)
	if n, isNumber := in.Args[1].(x86asm.Imm); isNumber && n == typeApplicationData && in.Op == x86asm.MOV && in.DataSize == 32 {
		return applicationData
	}
	if !isRegister {
		return unknown
	}
	switch o, known := has[general(from)]; {
	case in.Op == x86asm.XOR && from == to && in.DataSize >= 32:
		return zero
	case in.Op != x86asm.MOV || !known:
		return unknown
	case isWhole(to), (o == zero || o == applicationData) && in.DataSize == 32:
		return o
	}
	return unknown
}

// x86SetOnce says whether a function sets a register by one instruction, and then only gives it back right before it ends.
func x86SetOnce(b *body, register x86asm.Reg) bool {
	set := 0
	for _, i := range b.instructions {
		in, e := x86Decoded(i), x86Effect(i)
		switch {
		case i.flow == call:
		case in.Op == x86asm.POP && e.writes == general(register):
			if !b.straight(i.at, func(*instruction) bool { return false }) {
				return false
			}
		case e.known && e.writes == general(register):
			set++
		case !e.known && (i.flow == next || i.flow == stop) && x86MayWrite(in, register):
			return false
		}
	}
	return set == 1
}

// x86MayWrite says whether an instruction of which little is known may change a register.
func x86MayWrite(in x86asm.Inst, register x86asm.Reg) bool {
	switch in.Op {
	case x86asm.CPUID, x86asm.ENTER, x86asm.LEAVE:
		return true
	}
	for _, a := range in.Args {
		if r, ok := a.(x86asm.Reg); ok && general(r) == general(register) {
			return true
		}
	}
	return false
}

// goKept says whether a method with a slice has, at its end still, its receiver and the slice's pointer in the two words that its caller has for that
// (Go's internal ABI, "spill area"): it stores them where its frame begins, and nothing else there.
func (x86) goKept(b *body) bool {
	where := map[x86asm.Reg]int64{x86asm.RAX: 8, x86asm.RBX: 16} // above the stack pointer at the first instruction
	depth, stores := int64(0), map[uint64]bool{}
	for i := b.instructions[b.start]; i != nil && (i.at == b.start || !b.targets[i.at]) && i.flow != call; i = b.instructions[i.end()] {
		popped, known := x86Popped(i)
		if !known || i.flow != next && i.flow != branch {
			break
		}
		in := x86Decoded(i)
		from, _ := in.Args[1].(x86asm.Reg)
		if to, ok := in.Args[0].(x86asm.Mem); ok && in.Op == x86asm.MOV && isStack(to) && where[from] != 0 && to.Disp == depth+where[from] {
			stores[i.at] = true
			delete(where, from)
		}
		for r := range where {
			if i.flow == next && x86MayWrite(in, r) && (!x86Effect(i).known || x86Effect(i).writes == general(r)) {
				return false
			}
		}
		depth -= int64(popped)
	}
	if len(where) > 0 {
		return false
	}
	for _, i := range b.instructions {
		if !stores[i.at] && x86Touches(x86Decoded(i), depth+8, depth+24) {
			return false
		}
	}
	return true
}

func isStack(m x86asm.Mem) bool { return m.Base == x86asm.RSP && m.Index == 0 && m.Segment == 0 }

// x86Touches says whether an instruction may change memory at a distance from the stack pointer, or takes its address.
func x86Touches(in x86asm.Inst, low, high int64) bool {
	m, ok := in.Args[0].(x86asm.Mem)
	size := int64(in.MemBytes)
	if in.Op == x86asm.LEA {
		m, ok = in.Args[1].(x86asm.Mem)
		size = 1
	} else if readers[in.Op] {
		return false
	}
	if !ok || m.Base != x86asm.RSP {
		return false
	}
	return m.Index != 0 || m.Disp < high && low < m.Disp+max(size, 1)
}
