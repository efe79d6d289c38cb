package trace

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEndpointsAreThoseThatWereUsedLast(t *testing.T) {
	e := NewEndpoints(1) // a set for each part
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i)) }
	end := func(i int) End { return End(i * parts) } // all in one set
	for i := 1; i <= endsInSet; i++ {
		e.Add(end(i), at(i))
	}
	got, known := e.Of(end(1))
	assert.True(t, known)
	assert.Equal(t, at(1), got)
	e.Add(end(endsInSet+1), at(endsInSet+1))
	_, known = e.Of(end(2))
	assert.False(t, known, "the one that was used least recently has given way")
	for _, i := range []int{1, 3, endsInSet, endsInSet + 1} {
		got, known = e.Of(end(i))
		assert.True(t, known, i)
		assert.Equal(t, at(i), got)
	}
	e.Add(end(1), at(99))
	got, _ = e.Of(end(1))
	assert.Equal(t, at(99), got, "the latest")
}

func TestEndpointsOfBothFamilies(t *testing.T) {
	e := NewEndpoints(64)
	for i, text := range []string{"10.1.2.3:80", "[2001:db8::1]:443"} {
		want := netip.MustParseAddrPort(text)
		e.Add(End(i+1), want)
		got, known := e.Of(End(i + 1))
		assert.True(t, known)
		assert.Equal(t, want, got)
	}
	e.Add(0, netip.MustParseAddrPort("10.1.2.3:80"))
	e.Add(9, netip.AddrPort{})
	for _, end := range []End{0, 9, 10} {
		_, known := e.Of(end)
		assert.False(t, known, end)
	}
}
