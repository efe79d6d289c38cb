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
