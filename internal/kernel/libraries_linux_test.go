//go:build amd64 || arm64

package kernel

import "testing"

func TestCookiesOfLibraryProbes(t *testing.T) {
	for name, test := range map[string]struct {
		probe LibraryProbe
		want  uint64
	}{
		"depth":        {LibraryProbe{Kind: ReadExit, Depth: 0x238}, 0x0238_0020},
		"own call":     {LibraryProbe{Kind: GnuTLSUncorkExit}, 0x2d},
		"registers":    {LibraryProbe{Kind: GnuTLSPush, Push: PushRegisters{Session: 13, Bytes: 6, Count: 2}}, 0x0000_0000_026d_0090},
		"displacement": {LibraryProbe{Kind: GnuTLSPushVector, Push: PushRegisters{Session: 3, Bytes: 4, Displacement: -32}}, 0xffe0_0043_0091},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.probe.cookie(); got != test.want {
				t.Errorf("%#x, want %#x", got, test.want)
			}
		})
	}
}
