package tlslib

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLinkageStubsOfAMD64(t *testing.T) {
	jump := []byte{0xff, 0x25, 0x10, 0, 0, 0} // jmp *0x10(%rip)
	for name, test := range map[string]struct {
		code []byte
		slot uint64
		ok   bool
	}{
		"plain":                        {jump, 0x1016, true},
		"with a bounds prefix":         {slices.Concat([]byte{0xf2}, jump), 0x1017, true},
		"with a landing pad":           {slices.Concat(endbr64, jump), 0x101a, true},
		"with both":                    {slices.Concat(endbr64, []byte{0xf2}, jump), 0x101b, true},
		"call":                         {[]byte{0xff, 0x15, 0x10, 0, 0, 0}, 0, false},
		"jump through a register":      {[]byte{0xff, 0xe0}, 0, false},
		"jump through other memory":    {[]byte{0xff, 0x60, 0x10}, 0, false},
		"direct jump":                  {[]byte{0xe9, 0x10, 0, 0, 0}, 0, false},
		"cut":                          {jump[:4], 0, false},
		"nothing behind a landing pad": {endbr64, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			slot, ok := x86{}.stub(test.code, 0x1000)
			assert.Equal(t, test.ok, ok)
			if ok {
				assert.Equal(t, test.slot, slot)
			}
		})
	}
}

// The list is that of arch/x86/kernel/uprobes.c.
func TestInstructionsThatTheKernelEmulates(t *testing.T) {
	for name, test := range map[string]struct {
		code []byte
		want bool
	}{
		"push %rbp":       {[]byte{0x55}, true},
		"push %r12":       {[]byte{0x41, 0x54}, true},
		"push of 16 bits": {[]byte{0x66, 0x55}, false},
		"push $1":         {[]byte{0x6a, 1}, false},
		"pop %rbp":        {[]byte{0x5d}, false},
		"pop %r12":        {[]byte{0x41, 0x5c}, false},
		"nop":             {[]byte{0x90}, true},
		"nopl (%rax)":     {[]byte{0x0f, 0x1f, 0}, false},
		"js near":         {[]byte{0x78, 2}, true},
		"js far":          {[]byte{0x0f, 0x88, 0, 1, 0, 0}, true},
		"js with a hint":  {[]byte{0x3e, 0x78, 2}, false},
		"jmp near":        {[]byte{0xeb, 2}, true},
		"jmp far":         {[]byte{0xe9, 0, 1, 0, 0}, true},
		"jmp *%rax":       {[]byte{0xff, 0xe0}, false},
		"call":            {[]byte{0xe8, 0, 1, 0, 0}, false},
		"ret":             {[]byte{0xc3}, false},
		"sub $8,%rsp":     {[]byte{0x48, 0x83, 0xec, 8}, false},
		"endbr64":         {endbr64, false},
		"jrcxz":           {[]byte{0xe3, 2}, false},
	} {
		i, err := x86{}.decode(test.code, 0x1000)
		if assert.NoError(t, err, name) {
			assert.Equal(t, test.want, i.cheap, name)
		}
	}
}
