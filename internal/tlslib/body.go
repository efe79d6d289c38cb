package tlslib

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Bounds of a function. The largest of those that are probed, with what it jumps to, has 235 instructions in 2 pieces.
const (
	maxInstructions = 1 << 11
	maxPieces       = 16
)

// Reasons to refuse a function.
var (
	errIndirect    = errors.New("a jump leads to where cannot be known")
	errImported    = errors.New("a jump leads to a function of another library")
	errTooLarge    = errors.New("the function is too large")
	errUndecoded   = errors.New("an instruction is not known")
	errRunsOut     = errors.New("the code runs out of its function")
	errOverlapping = errors.New("instructions overlap")
	errNoExit      = errors.New("the function never returns")
	errLoop        = errors.New("the function begins with a loop")
	errShared      = errors.New("the function ends in another one that is probed")
	errPrologue    = errors.New("the begin of the function is of an unknown form")
)

// flow is what an instruction does to the order in which instructions run.
type flow uint8

const (
	next     flow = iota // the one behind it is next
	call                 // the one behind it is next, unless the function that is called never returns
	jump                 // to target
	branch               // to target, or the one behind it is next
	indirect             // to where a register or memory says
	ret
	stop // nothing comes after it
)

// instruction is decoded as far as all machines have it in common.
type instruction struct {
	at     uint64
	code   [16]byte
	size   uint8
	flow   flow
	target uint64 // of call, jump and branch
	cheap  bool   // the kernel emulates it, and does not run it by a single step
}

func (i *instruction) end() uint64   { return i.at + uint64(i.size) }
func (i *instruction) bytes() []byte { return i.code[:i.size] }

// place is an instruction for a probe, and how far the stack pointer is then below its value at the begin of the function.
type place struct {
	at     uint64
	depth  uint32
	result uint32 // as in Probe, like the others
	moved  bool
	goesOn bool
	kept   Kept
}

// machine knows the instructions of a processor.
type machine interface {
	// decode reads the instruction at the begin of code.
	decode(code []byte, at uint64) (instruction, error)
	// stub says whether code is an entry of the linkage table, and where the address is that it jumps to.
	stub(code []byte, at uint64) (slot uint64, ok bool)
	// resolve finds where another indirect jump leads to.
	resolve(im *image, b *body, at uint64) ([]uint64, error)
	// enter is where all of the first n arguments still are in their registers, and where a call comes by once.
	enter(b *body, n int) place
	// exit is where the result is in its register, if the call ends with the given instruction.
	exit(b *body, at uint64) place
	// enterCounted is an emulated instruction where the first three arguments are in their registers, and the fourth in its own or the fifth's.
	enterCounted(b *body) (p place, ok bool)
	// emulatedExits are emulated instructions one of which each call comes by with its result in its register.
	emulatedExits(b *body) (exits []place, ok bool)
	// kept is where a function with four arguments has them at the exits of emulatedExits.
	kept(b *body) (k Kept, ok bool)
	// keptOfRecords is where a function has its first two arguments when it ends, and the type of record that it received.
	keptOfRecords(b *body) (k Kept, ok bool)
	// epilogue is where a function begins to give registers back ahead of a RET, if those of what is kept are among them.
	epilogue(b *body, returns uint64, k Kept) (p place, ok bool)
	// goKept says whether a method has its receiver and its slice's pointer at its end: see Kept.
	goKept(b *body) bool
	// slots are where tables of functions have those that a function calls.
	slots(b *body) []uint64
	// returned is the address that a function returns that does nothing else.
	returned(im *image, at uint64) (addr uint64, ok bool)
	// goEnter is where receiver and slice are in their registers behind the check of the stack's size, which may restart the
	// function.
	goEnter(b *body) (place, error)
	// deferral is how a function of Go runs what it has deferred; without returns: it does not, or that is not known.
	deferral(b *body) deferral
	// constant is what a function returns that does nothing else.
	constant(im *image, at uint64) (uint64, bool)
	// field is the distance from what its first argument points to at which a function stores its second, which it does once.
	field(b *body) (distance int64, ok bool)
	// pushes are the calls through fields in a piece of code.
	pushes(b *body, fields pushFields) []push
	// texts are the strings whose addresses a function computes.
	texts(b *body) []uint64
}

// body is all of a function that can be reached from its first instruction, with all that it jumps to: pieces elsewhere, and other
// functions that it ends in. It has no function that it calls.
type body struct {
	start        uint64
	instructions map[uint64]*instruction
	ends         map[uint64]uint64 // the begin of an instruction by its end
	targets      map[uint64]bool   // to where jumps lead
	returns      []uint64          // ascending
	pieces       []span
}

func newBody(start uint64) *body {
	return &body{start: start, instructions: map[uint64]*instruction{}, ends: map[uint64]uint64{}, targets: map[uint64]bool{}}
}

// walk follows a function of the C calling convention from its first instruction. The error says why its exits are not known.
func (im *image) walk(start uint64) (*body, error) {
	b := newBody(start)
	todo := []uint64{start}
	for len(todo) > 0 {
		var indirects []uint64
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			more, through, err := im.follow(b, at)
			if err != nil {
				return nil, err
			}
			todo, indirects = append(todo, more...), append(indirects, through...)
		}
		// What is ahead of an indirect jump is complete only now.
		for _, at := range indirects {
			targets, err := im.machine.resolve(im, b, at)
			if err != nil {
				return nil, fmt.Errorf("at %#x: %w", at, err)
			}
			for _, target := range targets {
				b.targets[target] = true
			}
			todo = append(todo, targets...)
		}
	}
	return b, b.check()
}

// follow adds the instructions from an address on until control goes elsewhere.
func (im *image) follow(b *body, at uint64) (targets, indirects []uint64, err error) {
	if target, ok, err := im.throughStub(at); ok || err != nil {
		b.targets[target] = true
		return []uint64{target}, nil, err
	}
	piece, err := im.piece(b, at)
	if err != nil {
		return nil, nil, fmt.Errorf("at %#x: %w", at, err)
	}
	afterCall := false
	for {
		if at == piece.end && afterCall { // of a function that never returns, as abort
			return targets, indirects, nil
		}
		if at >= piece.end {
			return nil, nil, fmt.Errorf("at %#x: %w", at, errRunsOut)
		}
		if b.instructions[at] != nil {
			return targets, indirects, nil
		}
		i, err := im.decode(b, at)
		if err != nil {
			return nil, nil, err
		}
		switch i.flow {
		case branch, jump:
			b.targets[i.target] = true
			targets = append(targets, i.target)
		case indirect:
			indirects = append(indirects, at)
		case ret:
			b.returns = append(b.returns, at)
		}
		if i.flow != next && i.flow != call && i.flow != branch {
			return targets, indirects, nil
		}
		afterCall = i.flow == call
		at = i.end()
	}
}

// throughStub is the function to which an entry of the linkage table leads. Not every linker writes unwinding information of it.
func (im *image) throughStub(at uint64) (target uint64, ok bool, err error) {
	code, err := im.code(at, 20)
	if err != nil {
		return 0, false, fmt.Errorf("at %#x: %w", at, err)
	}
	slot, ok := im.machine.stub(code, at)
	if !ok {
		return 0, false, nil
	}
	if target, err = im.linked(slot); err != nil {
		return 0, false, fmt.Errorf("at %#x: %w", at, err)
	}
	return target, true, nil
}

func (im *image) piece(b *body, at uint64) (span, error) {
	for _, p := range b.pieces {
		if p.has(at) {
			return p, nil
		}
	}
	if len(b.pieces) == maxPieces {
		return span{}, errTooLarge
	}
	p, err := im.pieceAt(at)
	if err == nil {
		b.pieces = append(b.pieces, p)
	}
	return p, err
}

func (im *image) decode(b *body, at uint64) (*instruction, error) {
	if len(b.instructions) == maxInstructions {
		return nil, errTooLarge
	}
	code, err := im.code(at, len(instruction{}.code))
	if err != nil {
		return nil, err
	}
	i, err := im.machine.decode(code, at)
	if err != nil {
		return nil, fmt.Errorf("at %#x: %w", at, err)
	}
	b.add(&i)
	return &i, nil
}

func (b *body) add(i *instruction) {
	b.instructions[i.at] = i
	b.ends[i.end()] = i.at
}

func (b *body) check() error {
	slices.Sort(b.returns)
	end := uint64(0)
	for _, at := range slices.Sorted(maps.Keys(b.instructions)) {
		if at < end {
			return errOverlapping
		}
		end = b.instructions[at].end()
	}
	return nil
}

// before is the instruction that ends where at begins, and after which at is next; nil if there is none.
func (b *body) before(at uint64) *instruction {
	begin, ok := b.ends[at]
	if !ok {
		return nil
	}
	if i := b.instructions[begin]; i.flow == next || i.flow == call || i.flow == branch {
		return i
	}
	return nil
}
