//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"

	"github.com/socketflow/socketflow/internal/event"
)

func TestFormsSurviveTheirWord(t *testing.T) {
	for name, form := range map[string]event.FrameForm{
		"HTTP/2":     {Header: 9, LengthWidth: 3, TypeOffset: 3, Unwanted: 1},
		"PostgreSQL": {Header: 5, LengthOffset: 1, LengthWidth: 4, Bias: -4, Unwanted: 1 << 31},
		"MySQL":      {Header: 4, LengthWidth: 3, LittleEndian: true, TypeOffset: 255},
		"longest":    {Header: 16, LengthOffset: 15, LengthWidth: 1, Bias: 127, TypeOffset: 14, Unwanted: 1<<32 - 1},
		"none":       {},
	} {
		t.Run(name, func(t *testing.T) {
			if got := unpackForm(packForm(&form)); got != form {
				t.Errorf("%+v became %+v", form, got)
			}
		})
	}
}

func TestImpossibleFormsAreRefused(t *testing.T) {
	for name, form := range map[string]event.FrameForm{
		"a long header":               {Header: 17, LengthWidth: 1},
		"no length":                   {Header: 4},
		"a wide length":               {Header: 9, LengthWidth: 5},
		"a length behind the header":  {Header: 4, LengthOffset: 3, LengthWidth: 2},
		"a length that is far behind": {Header: 16, LengthOffset: 255, LengthWidth: 4},
	} {
		t.Run(name, func(t *testing.T) {
			if word := packForm(&form); word != 0 {
				t.Errorf("packed as %#x", word)
			}
			s := Signature{Prefix: make([]byte, SignatureBytes), Frames: [2]event.FrameForm{form}}
			if err := setSignatures(nil, []Signature{s}); err == nil {
				t.Error("accepted in a signature")
			}
		})
	}
}
