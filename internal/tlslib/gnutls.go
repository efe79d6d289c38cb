package tlslib

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
)

// Functions with which a program says what sends its records. A session has two such fields, of which one is not nil: for a function that takes
// bytes, and for one that takes vectors. Where in the session they are is different in each version, and is read from these functions.
const (
	gnuTLSSetPush       = "gnutls_transport_set_push_function"
	gnuTLSSetVectorPush = "gnutls_transport_set_vec_push_function"
)

// maxMentions is at how many places of the code the number of a field may be. Debian's 3.7 has 10.
const maxMentions = 256

var (
	errNoPush   = errors.New("the calls that send records were not found")
	errMentions = errors.New("there are too many places that may send records")
)

// pushFields are where a session has what sends its records: distances from its begin, in bytes.
type pushFields struct{ bytes, vector int64 }

// push is a call of what a field has.
type push struct {
	at     uint64 // of the instruction ahead of the call, where the arguments are known
	vector bool
	where  Push
}

// handsOver says whether a function of GnuTLS does nothing but jump to another one, where its calls are seen.
func (im *image) handsOver(f function, symbols map[string]uint64) bool {
	other := symbols["gnutls_record_send2"]
	if f.call != GnuTLSSend || other == 0 {
		return false
	}
	b, err := im.walk(symbols[f.name])
	if err != nil || b.instructions[other] == nil {
		return false
	}
	whole, err := im.walk(other)
	if err != nil {
		return false
	}
	for _, at := range b.returns {
		if whole.instructions[at] == nil {
			return false
		}
	}
	return true
}

// keptByRecv is where calls that receive may end with their arguments known, by the RET that they end with. The functions that receive share another
// one, which is given the type of records. All of them have to end in it alike, because what ends has one probe.
func (im *image) keptByRecv(symbols map[string]uint64) (places map[uint64]place) {
	var bodies []*body
	for _, f := range gnuTLS {
		if !f.receives() || symbols[f.name] == 0 {
			continue
		}
		b, err := im.walk(symbols[f.name])
		if err != nil {
			return nil
		}
		bodies = append(bodies, b)
	}
	for _, b := range bodies {
		if k, ok := im.machine.keptOfRecords(b); ok {
			return im.alikeExits(bodies, k)
		}
	}
	return nil
}

// alikeExits are where functions give registers back that keep something, ahead of what they end with all.
func (im *image) alikeExits(bodies []*body, k Kept) map[uint64]place {
	places := make(map[uint64]place)
	for _, at := range bodies[0].returns {
		p, ok := im.machine.epilogue(bodies[0], at, k)
		for _, b := range bodies[1:] {
			other, is := im.machine.epilogue(b, at, k)
			ok = ok && is && other == p
		}
		if ok {
			places[at] = p
		}
	}
	return places
}

// placePushes adds the places where GnuTLS hands records to what sends them.
func (im *image) placePushes(lib *Library, symbols map[string]uint64) error {
	fields, err := im.pushFields(symbols)
	if err != nil {
		return err
	}
	pieces, err := im.mentions(fields)
	if err != nil {
		return err
	}
	found := 0
	for _, piece := range pieces {
		b, err := im.linear(piece)
		if err != nil {
			continue // what it has is not seen, and the socket not known
		}
		for _, p := range im.machine.pushes(b, fields) {
			off, _, err := im.offset(p.at, elf.PF_X)
			if err != nil {
				return err
			}
			probe := Probe{Call: GnuTLSPush, Place: Enter, Offset: off, Push: p.where}
			if p.vector {
				probe.Call = GnuTLSPushVector
			}
			if found++; len(lib.Probes) >= maxProbes {
				return errTooManyProbes
			}
			lib.Probes = append(lib.Probes, probe)
		}
	}
	if found == 0 {
		return errNoPush
	}
	return nil
}

func (im *image) pushFields(symbols map[string]uint64) (fields pushFields, err error) {
	for _, f := range [...]struct {
		name string
		at   *int64
	}{{gnuTLSSetPush, &fields.bytes}, {gnuTLSSetVectorPush, &fields.vector}} {
		if symbols[f.name] == 0 {
			return fields, errNoPush
		}
		b, err := im.walk(symbols[f.name])
		if err != nil {
			return fields, fmt.Errorf("%s: %w", f.name, err)
		}
		var ok bool
		if *f.at, ok = im.machine.field(b); !ok {
			return fields, fmt.Errorf("%s: %w", f.name, errNoPush)
		}
	}
	if fields.bytes == fields.vector {
		return fields, errNoPush
	}
	return fields, nil
}

// mentions are the pieces of code that have the number of a field in them.
func (im *image) mentions(fields pushFields) (pieces []span, err error) {
	var patterns [2][4]byte
	le.PutUint32(patterns[0][:], uint32(fields.bytes))
	le.PutUint32(patterns[1][:], uint32(fields.vector))
	var places []uint64
	for i := range im.segments {
		s := &im.segments[i]
		if s.kind != elf.PT_LOAD || s.flags&elf.PF_X == 0 || s.off >= im.size {
			continue
		}
		err := im.scan(s.off, min(s.fileSize, im.size-s.off), len(patterns[0])-1, func(at uint64, b []byte) bool {
			for _, pattern := range patterns {
				for n := 0; len(places) <= maxMentions; n++ {
					next := bytes.Index(b[n:], pattern[:])
					if next < 0 {
						break
					}
					n += next
					places = append(places, s.addr+at-s.off+uint64(n))
				}
			}
			return len(places) <= maxMentions
		})
		if err != nil {
			return nil, err
		}
	}
	if len(places) > maxMentions {
		return nil, errMentions
	}
	seen := map[span]bool{}
	for _, at := range places {
		if piece, err := im.pieceAt(at); err == nil && !seen[piece] {
			seen[piece] = true
			pieces = append(pieces, piece)
		}
	}
	return pieces, nil
}

// linear decodes a piece from its begin to its end, as compilers of C write it: without data in it.
func (im *image) linear(piece span) (*body, error) {
	b := newBody(piece.begin)
	for at := piece.begin; at < piece.end; {
		i, err := im.decode(b, at)
		if err != nil {
			return nil, err
		}
		if i.flow == jump || i.flow == branch {
			b.targets[i.target] = true
		}
		at = i.end()
	}
	return b, nil
}
