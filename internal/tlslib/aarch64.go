package tlslib

// aarch64 is arm64. Instructions are distinguished by the fields of their encoding (Arm Architecture Reference Manual, C4.1), which also
// classifies those that are newer than this code.
//
// Not measured on such a machine: what a probe costs at which instruction. So a probe of an entry is at the entry, and one of an exit
// at the RET, which the kernel simulates (arch/arm64/kernel/probes/decode-insn.c). Not known are jumps of a switch, nor where GnuTLS sends
// records: what has one, and GnuTLS, is refused.
type aarch64 struct{}

const (
	linkRegister  = 30
	scratchTarget = 17 // the register through which linkage stubs jump
)

func (aarch64) decode(code []byte, at uint64) (instruction, error) {
	i := instruction{at: at, size: 4}
	if len(code) < 4 || at%4 != 0 {
		return i, errUndecoded
	}
	copy(i.code[:], code[:4])
	switch w := le.Uint32(code); {
	case w>>26 == 0b000101: // B
		i.flow, i.target = jump, relative(at, w, 0, 26)
	case w>>26 == 0b100101: // BL
		i.flow, i.target = call, relative(at, w, 0, 26)
	case w>>24 == 0x54, w>>25&0x3f == 0b011010: // B.cond, BC.cond; CBZ, CBNZ
		i.flow, i.target = branch, relative(at, w, 5, 19)
	case w>>25&0x3f == 0b011011: // TBZ, TBNZ
		i.flow, i.target = branch, relative(at, w, 5, 14)
	case w>>25 == 0b1101011: // to a register: BR, BLR, RET and theirs with a pointer authentication code
		i.flow = [...]flow{indirect, call, ret, stop}[w>>21&3]
	case w>>24 == 0xd4 && w&0x1f != 1, w>>16 == 0: // BRK and HLT, but not SVC; UDF
		i.flow = stop
	}
	return i, nil
}

// relative is the target of a branch: a signed number of instructions, in a field of the encoding.
func relative(at uint64, w uint32, shift, bits uint) uint64 {
	field := int64(w>>shift) << (64 - bits) >> (64 - bits)
	return at + uint64(field*4)
}

// stub recognises an entry of the linkage table: [bti c]; adrp x16; ldr x17, [x16, #n]; add x16; br x17.
func (aarch64) stub(code []byte, at uint64) (slot uint64, ok bool) {
	var page uint64
	for ; len(code) >= 4; code, at = code[4:], at+4 {
		switch w := le.Uint32(code); {
		case w>>24&0x9f == 0x90 && w&31 == 16: // adrp x16
			low, high := uint64(w>>29&3), int64(w>>5)<<45>>45
			page = at&^0xfff + uint64(high)<<14 + low<<12
		case w>>22 == 0b1111100101 && w>>5&31 == 16 && w&31 == scratchTarget: // ldr x17, [x16, #n]
			slot = page + uint64(w>>10&0xfff)*8
		case w == 0xd61f0000|scratchTarget<<5: // br x17
			return slot, page != 0 && slot != 0
		case w>>24 != 0x91 && !isHint(w): // add
			return 0, false
		}
	}
	return 0, false
}

// isHint: bti, paciasp and the like, which may be the first instruction of a function.
func isHint(w uint32) bool { return w&0xfffff01f == 0xd503201f }

func (aarch64) resolve(*image, *body, uint64) ([]uint64, error) { return nil, errIndirect }

func (aarch64) enter(b *body, _ int) place {
	first := b.instructions[b.start]
	if first == nil || !isHint(le.Uint32(first.bytes())) || b.targets[first.end()] {
		return place{at: b.start}
	}
	return place{at: first.end()} // not every kernel has probes at a landing pad
}

func (aarch64) exit(_ *body, returns uint64) place { return place{at: returns} }

func (aarch64) enterCounted(*body) (place, bool) { return place{}, false }

func (aarch64) emulatedExits(*body) ([]place, bool) { return nil, false }

func (aarch64) kept(*body) (Kept, bool) { return Kept{}, false }

func (aarch64) keptOfRecords(*body) (Kept, bool) { return Kept{}, false }

func (aarch64) epilogue(*body, uint64, Kept) (place, bool) { return place{}, false }

func (aarch64) goKept(*body) bool { return false }

func (aarch64) slots(*body) []uint64 { return nil }

func (aarch64) returned(*image, uint64) (uint64, bool) { return 0, false }

// goEnter is the instruction that stores the link register: all ahead of it is the check of the stack's size.
func (aarch64) goEnter(b *body) (place, error) {
	at := b.start
	for range maxPrologue {
		i := b.instructions[at]
		if i == nil || at != b.start && b.targets[at] {
			break
		}
		w := le.Uint32(i.bytes())
		if storesLink(w) {
			return place{at: at}, nil
		}
		if destination := w & 31; i.flow != branch && (i.flow != next || destination <= 2 || destination == 28) {
			break
		}
		at = i.end()
	}
	return place{}, errPrologue
}

func (aarch64) deferral(*body) deferral { return deferral{} }

// storesLink: str x30, [sp, #-n]!; stp x29, x30 with any offset.
func storesLink(w uint32) bool {
	return w&0xffe00c1f == 0xf8000c00|linkRegister || w&0xfe407c00 == 0xa8000000|linkRegister<<10
}

// constant: [bti c]; mov x0, #low; [movk x0, #high, lsl #16]; ret.
func (aarch64) constant(im *image, at uint64) (uint64, bool) {
	code, err := im.code(at, 16)
	n := uint64(0)
	for ; err == nil && len(code) >= 4; code = code[4:] {
		switch w := le.Uint32(code); {
		case w&0x7fe0001f == 0x52800000: // movz
			n = uint64(w >> 5 & 0xffff)
		case w&0x7fe0001f == 0x72a00000: // movk, lsl #16
			n |= uint64(w>>5&0xffff) << 16
		case w == 0xd65f03c0:
			return n, n != 0
		case !isHint(w):
			return 0, false
		}
	}
	return 0, false
}

func (aarch64) texts(*body) []uint64 { return nil }

func (aarch64) field(*body) (int64, bool) { return 0, false }

func (aarch64) pushes(*body, pushFields) []push { return nil }
