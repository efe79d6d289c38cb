//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// SignatureBytes is how many bytes a Signature has.
const SignatureBytes = 16

// Signature is the beginning of a conversation that the kernel recognises by itself.
type Signature struct {
	Prefix []byte // SignatureBytes that one side begins with
	// Frames and First describe the frames of the side with the prefix, and of its peer: their form, and the position of the first. As long
	// as the kernel knows where frames begin, it does not capture the bodies of those that are not wanted. A zero Form: it captures all.
	Frames [2]event.FrameForm
	First  [2]uint64
	// Peer and PeerMask show what the peer begins with, where it may send first: the bits of PeerMask, up to SignatureBytes.
	Peer, PeerMask []byte
}

// packForm is what enum frame_form in bpf/event.h describes.
func packForm(f *event.FrameForm) uint64 {
	if f.Header == event.NoFrames {
		return event.NoFrames
	}
	if !f.Valid() {
		return 0
	}
	word := uint64(f.Header)<<bpf.SocketflowFrameFormFORM_HEADER | uint64(f.LengthOffset)<<bpf.SocketflowFrameFormFORM_LENGTH |
		uint64(f.LengthWidth-1)<<bpf.SocketflowFrameFormFORM_WIDTH | uint64(f.TypeOffset)<<bpf.SocketflowFrameFormFORM_TYPE |
		uint64(uint8(f.Bias))<<bpf.SocketflowFrameFormFORM_BIAS | uint64(f.Unwanted)<<bpf.SocketflowFrameFormFORM_UNWANTED
	if f.LittleEndian {
		word |= 1 << bpf.SocketflowFrameFormFORM_LITTLE
	}
	return word
}

func unpackForm(word uint64) event.FrameForm {
	if word == 0 {
		return event.FrameForm{}
	}
	return event.FrameForm{
		Header:       uint8(word >> bpf.SocketflowFrameFormFORM_HEADER),
		LengthOffset: uint8(word>>bpf.SocketflowFrameFormFORM_LENGTH) & 0xf,
		LengthWidth:  uint8(word>>bpf.SocketflowFrameFormFORM_WIDTH)&3 + 1,
		LittleEndian: word>>bpf.SocketflowFrameFormFORM_LITTLE&1 != 0,
		TypeOffset:   uint8(word >> bpf.SocketflowFrameFormFORM_TYPE),
		Bias:         int8(word >> bpf.SocketflowFrameFormFORM_BIAS),
		Unwanted:     uint32(word >> bpf.SocketflowFrameFormFORM_UNWANTED),
	}
}

func setSignatures(spec *ebpf.CollectionSpec, signatures []Signature) error {
	var raw [MaxSignatures]bpf.SocketflowSignature
	if len(signatures) > len(raw) {
		return fmt.Errorf("at most %d signatures, not %d", len(raw), len(signatures))
	}
	for i := range signatures {
		if err := signatures[i].raw(&raw[i]); err != nil {
			return err
		}
	}
	if err := spec.Variables[bpf.SocketflowVarSignatures].Set(raw); err != nil {
		return fmt.Errorf("set %s: %w", bpf.SocketflowVarSignatures, err)
	}
	return nil
}

func (s *Signature) raw(raw *bpf.SocketflowSignature) error {
	if len(s.Prefix) != SignatureBytes {
		return fmt.Errorf("a signature has %d bytes, not %d", SignatureBytes, len(s.Prefix))
	}
	if len(s.Peer) > SignatureBytes || len(s.PeerMask) > SignatureBytes {
		return fmt.Errorf("the beginning of a signature's peer has at most %d bytes, not %d", SignatureBytes, max(len(s.Peer), len(s.PeerMask)))
	}
	raw.Bytes, raw.Peer, raw.PeerMask = words(s.Prefix), words(s.Peer), words(s.PeerMask)
	for side := range s.Frames {
		form := &s.Frames[side]
		if *form != (event.FrameForm{}) && !form.Valid() {
			return fmt.Errorf("a signature's frames are impossible: %+v", *form)
		}
		raw.Form[side], raw.First[side] = packForm(form), s.First[side]
	}
	return nil
}

// words are bytes as the programs compare them.
func words(b []byte) (w [SignatureBytes / 8]uint64) {
	var all [SignatureBytes]byte
	copy(all[:], b)
	for i := range w {
		w[i] = binary.NativeEndian.Uint64(all[i*8:])
	}
	return w
}
