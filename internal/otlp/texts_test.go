package otlp

import (
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"testing"
	"time"
)

func TestBytesReadWell(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 9999: "9.9 kB", 10_000: "10 kB",
		999_999: "999 kB", 4_512_345: "4.5 MB", 3e9: "3.0 GB", 2e12: "2.0 TB", 7e15: "7.0 PB",
		math.MaxUint64: "18 EB",
	} {
		if got := string(appendBytes(nil, n)); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestDurationsReadWell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0ns", 0: "0ns", 999: "999ns", 1500: "1.50µs", 15_300: "15.3µs", 153 * time.Microsecond: "153µs",
		1530 * time.Millisecond: "1.53s", 59_999 * time.Millisecond: "59.9s", time.Minute: "1m0s",
		127 * time.Second: "2m7s", 3 * time.Hour: "3h0m", 131 * time.Hour: "5d11h",
	} {
		if got := string(appendDuration(nil, d)); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}

func TestAddressTextsOutliveEviction(t *testing.T) {
	var texts addressTexts
	for range 2 {
		for i := range 4 * len(texts) {
			four := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			six := netip.AddrFrom16([16]byte{0x20, 1, 14: byte(i >> 8), 15: byte(i)})
			for _, address := range []netip.Addr{four, six, six.WithZone("eth0")} {
				if got := texts.of(address); got != address.String() {
					t.Fatalf("%v is written %s", address, got)
				}
			}
		}
	}
}

func TestInternedTextsOfASetDoNotEvictEachOther(t *testing.T) {
	texts := interned{seed: maphash.MakeSeed()}
	set := func(text string) uint64 { return maphash.String(texts.seed, text) % uint64(len(texts.sets)) }
	together := [][]byte{[]byte("GET")}
	for i := 0; len(together) < len(texts.sets[0].texts); i++ {
		if text := fmt.Sprintf("/items/%d", i); set(text) == set("GET") {
			together = append(together, []byte(text))
		}
	}
	ask := func() {
		for _, text := range together {
			if got := texts.of(text); got != string(text) {
				t.Fatalf("%s is %s", text, got)
			}
		}
	}
	ask()
	if allocations := testing.AllocsPerRun(10, ask); allocations != 0 {
		t.Errorf("%d texts of one set take %v allocations when they recur", len(together), allocations)
	}
	for i := range 4 * len(texts.sets) * len(together) { // more than there is room for
		if text := fmt.Sprintf("/orders/%d", i); texts.of([]byte(text)) != text {
			t.Fatalf("%s is %s", text, texts.of([]byte(text)))
		}
	}
	ask()
}
