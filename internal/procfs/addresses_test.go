package procfs

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const fibTrie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
           |-- 192.0.2.2
              /32 host LOCAL
`

const ifInet6 = `00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000f8acbdfffee2b8f1 02 40 20 80     eth0
20010db8000000000000000000000002 02 40 00 80     eth0
`

func gather(t *testing.T, text string, parse func(r *strings.Reader, f func(netip.Addr)) error) []string {
	t.Helper()
	var out []string
	require.NoError(t, parse(strings.NewReader(text), func(a netip.Addr) { out = append(out, a.String()) }))
	return out
}

func TestAddressesOfANetworkNamespace(t *testing.T) {
	assert.Equal(t, []string{"192.0.2.2", "192.0.2.2"}, gather(t, fibTrie, func(r *strings.Reader, f func(netip.Addr)) error {
		return parseFibTrie(r, f)
	}))
	assert.Equal(t, []string{"2001:db8::2"}, gather(t, ifInet6, func(r *strings.Reader, f func(netip.Addr)) error {
		return parseIfInet6(r, f)
	}))
}

func TestTheOnlyAddress(t *testing.T) {
	second := "     |-- 192.0.2.3\n        /32 host LOCAL\n"
	for name, test := range map[string]struct {
		files map[string]string
		ipv6  bool
		want  netip.Addr
	}{
		"of IPv4":         {map[string]string{"fib_trie": fibTrie}, false, netip.MustParseAddr("192.0.2.2")},
		"of several":      {map[string]string{"fib_trie": fibTrie + second}, false, netip.Addr{}},
		"of none":         {map[string]string{"fib_trie": "Main:\n"}, false, netip.Addr{}},
		"of IPv6":         {map[string]string{"if_inet6": ifInet6}, true, netip.MustParseAddr("2001:db8::2")},
		"of several, v6":  {map[string]string{"if_inet6": ifInet6 + strings.ReplaceAll(ifInet6, "02 02", "03 02")}, true, netip.Addr{}},
		"of one's loop":   {map[string]string{"if_inet6": ifInet6[:54]}, true, netip.Addr{}},
		"of other things": {map[string]string{"if_inet6": "x\n\nzz 1\n"}, true, netip.Addr{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := onlyAddress(netDirectory(t, test.files), test.ipv6)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	_, err := onlyAddress(t.TempDir(), false)
	assert.ErrorIs(t, err, ErrGone)
}

func FuzzAddresses(f *testing.F) {
	f.Add(fibTrie)
	f.Add(ifInet6)
	f.Fuzz(func(t *testing.T, text string) {
		check := func(a netip.Addr) {
			if !a.IsValid() || a.IsLoopback() {
				t.Errorf("%v", a)
			}
		}
		_ = parseFibTrie(strings.NewReader(text), check) // an error is possible: a line may be too long
		_ = parseIfInet6(strings.NewReader(text), check)
	})
}
