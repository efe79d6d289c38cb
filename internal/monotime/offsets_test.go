package monotime

import "testing"

func TestOffsetsOfATimeNamespace(t *testing.T) {
	for text, want := range map[string]offsets{
		"": {},
		"monotonic           0         0\nboottime            0         0\n": {},
		"monotonic   86400 5\nboottime   -7 250000000\n":                     {86400e9 + 5, -7e9 + 250e6},
		"1 2 0\n7 3 0\n":            {2e9, 3e9},
		"monotonic x 0\nboottime 3": {},
		"other 1 1\nboottime 3 1\n": {0, 3e9 + 1},
	} {
		if got := parseOffsets(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
