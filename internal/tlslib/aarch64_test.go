package tlslib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Words are as llvm-objdump prints them for Debian's libssl, or by the reference manual.
func TestInstructionsOfARM64(t *testing.T) {
	const at = 0x41000
	for name, test := range map[string]struct {
		word   uint32
		flow   flow
		target uint64
	}{
		"paciasp":          {0xd503233f, next, 0},
		"sub sp, sp, #32":  {0xd10083ff, next, 0},
		"svc #0":           {0xd4000001, next, 0},
		"bl ahead":         {0x94000002, call, at + 8},
		"bl back":          {0x97ffffff, call, at - 4},
		"blr x8":           {0xd63f0100, call, 0},
		"blraa x8, sp":     {0xd73f091f, call, 0},
		"b back":           {0x17fffffe, jump, at - 8},
		"b.ne ahead":       {0x54000041, branch, at + 8},
		"cbz back":         {0xb4ffffe0, branch, at - 4},
		"cbnz w ahead":     {0x35000040, branch, at + 8},
		"tbnz w2, #31":     {0x37f80042, branch, at + 8},
		"tbz x, back":      {0xb607ffe2, branch, at - 4},
		"br x16":           {0xd61f0200, indirect, 0},
		"braa x8, sp":      {0xd71f091f, indirect, 0},
		"ret":              {0xd65f03c0, ret, 0},
		"retaa":            {0xd65f0bff, ret, 0},
		"brk #1":           {0xd4200020, stop, 0},
		"udf #0":           {0, stop, 0},
		"unknown, of SIMD": {0x4e284800, next, 0},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := aarch64{}.decode(le.AppendUint32(nil, test.word), at)
			require.NoError(t, err)
			assert.Equal(t, test.flow, i.flow)
			assert.EqualValues(t, 4, i.size)
			assert.Equal(t, test.target, i.target)
		})
	}
	_, err := aarch64{}.decode([]byte{0xc0, 0x03, 0x5f}, at)
	assert.ErrorIs(t, err, errUndecoded, "cut")
	_, err = aarch64{}.decode(le.AppendUint32(nil, 0xd65f03c0), at+2)
	assert.ErrorIs(t, err, errUndecoded, "not aligned")
}

func TestLinkageStubsOfARM64(t *testing.T) {
	words := func(words ...uint32) (code []byte) {
		for _, w := range words {
			code = le.AppendUint32(code, w)
		}
		return code
	}
	const bti, adrp, ldr, add, br = 0xd503245f, 0x900000f0, 0xf941fa11, 0x910fc210, 0xd61f0220 // of 0x1c000 ahead, +0x3f0
	for name, test := range map[string]struct {
		code []byte
		ok   bool
	}{
		"plain":                {words(adrp, ldr, add, br), true},
		"with a landing pad":   {words(bti, adrp, ldr, add, br), true},
		"to another register":  {words(adrp, ldr, add, 0xd61f0200), false},
		"without a page":       {words(ldr, add, br), false},
		"something in between": {words(adrp, ldr, 0xd65f03c0, br), false},
		"cut":                  {words(adrp, ldr, add), false},
	} {
		t.Run(name, func(t *testing.T) {
			slot, ok := aarch64{}.stub(test.code, 0x25e30)
			assert.Equal(t, test.ok, ok)
			if ok {
				assert.Equal(t, uint64(0x25000+0x1c000+0x3f0), slot)
			}
		})
	}
}
