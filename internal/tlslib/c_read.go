package tlslib

import (
	"debug/elf"
	"maps"
	"slices"
)

// tlsMethods return tables of functions (struct ssl_method_st of OpenSSL). An SSL has one of them, and SSL_read and SSL_read_ex read through it.
var tlsMethods = []string{"TLS_method", "TLS_client_method", "TLS_server_method"}

// reader finds the function that SSL_read and SSL_read_ex of OpenSSL have in common, by the tables: int reader(ssl, buf, num, size_t *read). It is probed
// instead of them if the kernel emulates the instructions where it is entered and left, which it does not at those of many builds of them.
func (im *image) reader(symbols map[string]uint64) (places []place, ok bool) {
	if symbols["SSL_read"] == 0 || symbols["SSL_read_ex"] == 0 { // up to OpenSSL 1.1.0 it has other arguments
		return nil, false
	}
	slot, ok := im.readerSlot(symbols)
	if !ok {
		return nil, false
	}
	start := uint64(0)
	for _, name := range tlsMethods {
		table, ok := im.machine.returned(im, symbols[name])
		if !ok {
			return nil, false
		}
		addr, err := im.pointerAt(table + slot)
		if _, _, outside := im.offset(addr, elf.PF_X); err != nil || outside != nil || start != 0 && addr != start {
			return nil, false
		}
		start = addr
	}
	b, err := im.walk(start)
	if err != nil || b.targets[start] {
		return nil, false
	}
	enter, ok := im.machine.enterCounted(b)
	if !ok {
		return nil, false
	}
	exits, ok := im.machine.emulatedExits(b)
	if k, known := im.machine.kept(b); known {
		for i := range exits {
			exits[i].kept = k
		}
	}
	return append([]place{enter}, exits...), ok
}

// readerSlot is where the tables have it: SSL_read calls it itself, or calls a function that does, and SSL_read_ex does the same.
func (im *image) readerSlot(symbols map[string]uint64) (slot uint64, ok bool) {
	called := make(map[uint64]int)
	var slots []uint64
	for _, name := range []string{"SSL_read", "SSL_read_ex"} {
		b, err := im.linearFrom(symbols[name])
		if err != nil {
			return 0, false
		}
		slots = append(slots, im.machine.slots(b)...)
		targets := make(map[uint64]bool)
		for _, i := range b.instructions {
			if i.flow == call && i.target != i.end() {
				targets[i.target] = true
			}
		}
		for target := range targets {
			called[target]++
		}
	}
	for target, n := range called {
		if _, stub, err := im.throughStub(target); n < 2 || stub || err != nil || len(slots) > 0 {
			continue
		}
		if b, err := im.linearFrom(target); err == nil {
			slots = append(slots, im.machine.slots(b)...)
		}
	}
	slices.Sort(slots)
	slots = slices.Compact(slots)
	if len(slots) != 1 {
		return 0, false
	}
	return slots[0], true
}

// linearFrom decodes a function in the order of its addresses, as far as its unwinding information goes.
func (im *image) linearFrom(start uint64) (*body, error) {
	piece, err := im.pieceAt(start)
	if err != nil {
		return nil, err
	}
	return im.linear(span{begin: start, end: piece.end})
}

// pointerAt is what an address in the data has when the program runs: relocations have it, or the file itself.
func (im *image) pointerAt(addr uint64) (value uint64, err error) {
	found := false
	if d, ok := im.dynamic(); ok && d.others != 0 {
		err = im.relocations(d.others, d.othersSize, func(at, info, addend uint64) bool {
			if at == addr && isRelative(info) {
				value, found = addend, true
			}
			return !found
		})
	}
	if found || err != nil {
		return value, err
	}
	return im.uint64At(addr)
}

// straight reports whether a function goes from an address to its end without a jump or a call, and without a change of the result.
func (b *body) straight(at uint64, changes func(*instruction) bool) bool {
	for range maxInstructions {
		i := b.instructions[at]
		switch {
		case i == nil:
			return false
		case i.flow == ret:
			return true
		case i.flow != next || changes(i):
			return false
		}
		at = i.end()
	}
	return false
}

// jumpsTo are the jumps of a function by where they lead.
func (b *body) jumpsTo() map[uint64][]*instruction {
	jumps := make(map[uint64][]*instruction)
	for _, at := range slices.Sorted(maps.Keys(b.instructions)) {
		if i := b.instructions[at]; i.flow == jump || i.flow == branch {
			jumps[i.target] = append(jumps[i.target], i)
		}
	}
	return jumps
}
