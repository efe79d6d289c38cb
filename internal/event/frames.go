package event

// MaxFrameHeader is how long the header of a frame can be.
const MaxFrameHeader = 16

// NoFrames as the Header of a FrameForm in a Want means that a direction has no frames: everything is captured.
const NoFrames = 0xff

// FrameForm describes the frames of a stream: a header of fixed length, which has the length of the body behind it. The zero value
// describes nothing.
type FrameForm struct {
	Header       uint8 // bytes, 1 to MaxFrameHeader
	LengthOffset uint8 // where in the header the length is
	LengthWidth  uint8 // bytes of the length, 1 to 4
	LittleEndian bool  // of the length
	Bias         int8  // what the body has more than the length says: -4, if the length counts its own four bytes
	TypeOffset   uint8 // where in the header the byte of the type is; behind the header: all frames have type 0
	// Unwanted has a bit for each type, by its lowest five bits, whose bodies are not captured.
	Unwanted uint32
}

// Valid reports whether there can be frames of this form.
func (f *FrameForm) Valid() bool {
	return f.Header >= 1 && f.Header <= MaxFrameHeader && f.LengthWidth >= 1 && f.LengthWidth <= 4 &&
		f.LengthOffset < MaxFrameHeader && f.LengthOffset+f.LengthWidth <= f.Header
}

// Body reads a header, of at least f.Header bytes: the length of the body, and whether it is captured. It returns false if there is no
// such frame.
func (f *FrameForm) Body(header []byte) (n uint64, wanted, ok bool) {
	var length uint32
	for i := range f.LengthWidth {
		b := uint32(header[f.LengthOffset+i])
		if f.LittleEndian {
			length |= b << (8 * i)
		} else {
			length = length<<8 | b
		}
	}
	var kind uint8
	if f.TypeOffset < f.Header {
		kind = header[f.TypeOffset]
	}
	body := int64(length) + int64(f.Bias)
	return uint64(max(body, 0)), f.Unwanted>>(kind&31)&1 == 0, body >= 0
}
