package splitmix

import "testing"

// The numbers are those of Java's SplittableRandom with seed 0. Its nth number is the finalizer of n times Gamma.
func TestMixIsSplitmix64(t *testing.T) {
	var state uint64
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f, 0xf88bb8a8724c81ec} {
		if got := Mix(state); got != want {
			t.Errorf("number %d is %#x, want %#x", i, got, want)
		}
		state += Gamma
	}
	if got := Finalize(0); got != 0 {
		t.Errorf("0 becomes %#x, want 0", got)
	}
}
