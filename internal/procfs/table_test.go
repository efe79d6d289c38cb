package procfs

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	inetHeading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	unixHeading = "Num       RefCount Protocol Flags    Type St Inode Path\n"
)

// inetLine is one of tcp, tcp6, udp or udp6.
func inetLine(local, remote, state string, inode int) string {
	return fmt.Sprintf("   0: %s %s %s 00000000:00000000 00:00000000 00000000     0        0 %d 1 000000002d7f8d62 100 0 0 10 0\n",
		local, remote, state, inode)
}

func addr(text string) netip.AddrPort {
	if text == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(text)
}

func all(uint64) bool { return true }

// The addresses are those of a little-endian machine, which all machines are that run the tests.
func TestLinesOfInetTables(t *testing.T) {
	for name, test := range map[string]struct {
		line          string
		transport     Transport
		local, remote string
		state         State
		none          bool
	}{
		"IPv4": {
			line:  inetLine("0100007F:0102", "0200007F:C350", "01", 7),
			local: "127.0.0.1:258", remote: "127.0.0.2:50000", state: StateEstablished,
		},
		"a listener on all addresses": {
			line: inetLine("00000000:0050", "00000000:0000", "0A", 7), local: "0.0.0.0:80", state: StateListen,
		},
		"IPv6": {
			line:  inetLine("B80D0120000000000000000001000000:0050", "B80D0120000000000000000002000000:C350", "08", 7),
			local: "[2001:db8::1]:80", remote: "[2001:db8::2]:50000", state: State(8),
		},
		"v4-mapped": {
			line:  inetLine("0000000000000000FFFF00000100007F:0050", "0000000000000000FFFF00000200007F:C350", "01", 7),
			local: "127.0.0.1:80", remote: "127.0.0.2:50000", state: StateEstablished,
		},
		"UDP, connected": {
			line: inetLine("0100007F:0102", "0200007F:0035", "01", 7), transport: UDP,
			local: "127.0.0.1:258", remote: "127.0.0.2:53", state: StateEstablished,
		},
		"UDP, not connected": {
			line: inetLine("00000000:0035", "00000000:0000", "07", 7), transport: UDP,
			local: "0.0.0.0:53", state: StateClose,
		},
		"nobody's":                  {line: inetLine("0100007F:0102", "0200007F:C350", "06", 0), none: true},
		"cut":                       {line: "   0: 0100007F:0102 0200007F:C350 01 00000000:00000000", none: true},
		"an address of three bytes": {line: inetLine("01007F:0102", "0200007F:C350", "01", 7), none: true},
		"no port":                   {line: inetLine("0100007F:", "0200007F:C350", "01", 7), none: true},
		"no number":                 {line: inetLine("0100007F:0102", "0200007F:C350", "0x", 7), none: true},
		"nothing":                   {line: "\n", none: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newReading(3, all)
			g.inet([]byte(test.line), test.transport)
			if test.none {
				assert.Empty(t, g.found)
				return
			}
			assert.Equal(t, map[uint64]Socket{7: {
				Inode: 7, NetNS: 3, Transport: test.transport, Local: addr(test.local), Remote: addr(test.remote), State: test.state,
			}}, g.found)
		})
	}
}

func TestLinesOfTheUnixTable(t *testing.T) {
	const number = "000000002980cfc1: 00000003 00000000 "
	for name, test := range map[string]struct {
		line  string
		name  string
		state State
		none  bool
	}{
		"unnamed":          {line: number + "00000000 0001 03  7\n", state: StateEstablished},
		"a path":           {line: number + "00000000 0001 03 7 /run/a b.sock\n", name: "/run/a b.sock", state: StateEstablished},
		"an abstract name": {line: number + "00000000 0001 03 7 @a\n", name: "@a", state: StateEstablished},
		"a listener":       {line: number + "00010000 0001 01 7 /run/l\n", name: "/run/l", state: StateListen},
		"not connected":    {line: number + "00000000 0001 01 7\n", state: StateClose},
		"no UTF-8":         {line: number + "00000000 0001 03 7 /\xff\n", name: "/\uFFFD", state: StateEstablished},
		"datagrams":        {line: number + "00000000 0002 01 7 /dev/log\n", none: true},
		"packets":          {line: number + "00000000 0005 03 7\n", none: true},
		"nobody's":         {line: number + "00000000 0001 03 0\n", none: true},
		"cut":              {line: number + "00000000 0001", none: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newReading(3, all)
			g.unix([]byte(test.line), UnixStream)
			if test.none {
				assert.Empty(t, g.found)
				return
			}
			assert.Equal(t, map[uint64]Socket{7: {
				Inode: 7, NetNS: 3, Transport: UnixStream, Name: test.name, State: test.state, Listened: test.name != "",
			}}, g.found)
		})
	}
}

// netDirectory makes a /proc/<pid>/net with the given tables.
func netDirectory(t testing.TB, tables map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tables {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestOnlyWhatIsWantedIsFound(t *testing.T) {
	dir := netDirectory(t, map[string]string{
		"tcp": inetHeading + inetLine("0100007F:0102", "0200007F:C350", "01", 7) + inetLine("0100007F:0103", "0200007F:C350", "01", 8),
		"udp": inetHeading + inetLine("0100007F:0104", "0200007F:0035", "01", 9),
		"unix": unixHeading + "000000002980cfc1: 00000003 00000000 00000000 0001 03  10\n" +
			"000000002980cfc1: 00000003 00000000 00000000 0001 03  11\n",
	})
	g := newReading(3, func(inode uint64) bool { return inode == 8 || inode == 9 || inode == 11 || inode == 99 })
	require.NoError(t, g.all(dir), "a machine without IPv6")
	var inodes []uint64
	for inode := range g.found {
		inodes = append(inodes, inode)
	}
	assert.ElementsMatch(t, []uint64{8, 9, 11}, inodes)
}

// A socket is at 127.0.0.1:258, its other end at 127.0.0.2:50000.
func TestWhichEndIsListenedAt(t *testing.T) {
	const anyV6 = "00000000000000000000000000000000"
	socket := inetLine("0100007F:0102", "0200007F:C350", "01", 7)
	listener := func(at, state string) string { return inetLine(at, "00000000:0000", state, 8) }
	for name, test := range map[string]struct {
		tables       map[string]string
		listened, by bool // at its own end, at the other
	}{
		"at its own end":             {map[string]string{"tcp": socket + listener("0100007F:0102", "0A")}, true, false},
		"at any address of its port": {map[string]string{"tcp": socket + listener("00000000:0102", "0A")}, true, false},
		"at another address":         {map[string]string{"tcp": socket + listener("0300007F:0102", "0A")}, false, false},
		"at any address of IPv6":     {map[string]string{"tcp": socket, "tcp6": inetLine(anyV6+":0102", anyV6+":0000", "0A", 8)}, true, false},
		"at another port":            {map[string]string{"tcp": socket + listener("0100007F:0103", "0A")}, false, false},
		"over UDP only":              {map[string]string{"tcp": socket, "udp": inetHeading + listener("00000000:0102", "07")}, false, false},
		"at the other end":           {map[string]string{"tcp": socket + listener("0200007F:C350", "0A")}, false, true},
		"at any address of the other's port, which is here": {
			map[string]string{"tcp": socket + listener("00000000:C350", "0A")}, false, true,
		},
		"at any address of the other's port, which is elsewhere": {map[string]string{
			"tcp": inetLine("0100000A:0102", "0200000A:C350", "01", 7) + listener("00000000:C350", "0A"),
		}, false, false},
		"at any address of the other's port, which has the same address": {map[string]string{
			"tcp": inetLine("0100000A:0102", "0100000A:C350", "01", 7) + listener("00000000:C350", "0A"),
		}, false, true},
		"by nobody": {map[string]string{"tcp": socket}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			for file, lines := range test.tables {
				test.tables[file] = inetHeading + strings.TrimPrefix(lines, inetHeading)
			}
			g := newReading(3, func(inode uint64) bool { return inode == 7 })
			require.NoError(t, g.all(netDirectory(t, test.tables)))
			require.Contains(t, g.found, uint64(7))
			assert.Equal(t, test.listened, g.found[7].Listened)
			assert.Equal(t, test.by, g.found[7].PeerListened)
		})
	}
}

func TestADirectoryWithoutTablesIsErrGone(t *testing.T) {
	assert.ErrorIs(t, newReading(3, all).all(t.TempDir()), ErrGone)
}

func TestALineThatIsTooLongIsAnError(t *testing.T) {
	g := newReading(3, all)
	text := inetHeading + strings.Repeat("x", 3*maxLine) + inetLine("", "", "", 6) +
		inetLine("0100007F:0102", "0200007F:C350", "01", 7)
	assert.ErrorIs(t, g.lines(strings.NewReader(text), (*reading).inet, TCP), errOverlong)
}

func TestAnErrorWhileReadingIsReturned(t *testing.T) {
	g := newReading(3, all)
	broken := io.MultiReader(strings.NewReader(inetHeading), &failing{})
	assert.ErrorIs(t, g.lines(broken, (*reading).inet, TCP), os.ErrDeadlineExceeded)
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func FuzzInetLine(f *testing.F) {
	f.Add([]byte(inetLine("0100007F:0102", "0200007F:C350", "01", 7)))
	f.Add([]byte(inetLine("B80D0120000000000000000001000000:0050", "0000000000000000FFFF00000200007F:C350", "0A", 7)))
	f.Add([]byte("1: : : "))
	f.Fuzz(func(t *testing.T, line []byte) {
		g := newReading(3, all)
		g.inet(line, TCP)
		for inode, s := range g.found {
			if inode == 0 || inode != s.Inode || !s.Local.IsValid() || s.Local.Addr().Is4In6() || s.Remote.Addr().Is4In6() {
				t.Errorf("%q is %+v", line, s)
			}
		}
	})
}

func FuzzUnixLine(f *testing.F) {
	f.Add([]byte("000000002980cfc1: 00000003 00000000 00010000 0001 01 7 @a b\n"))
	f.Add([]byte("000000002980cfc1: 00000003 00000000 00000000 0001 03  7\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		g := newReading(3, all)
		g.unix(line, UnixStream)
		for inode, s := range g.found {
			if inode == 0 || len(s.Name) > 3*len(line) || s.State == 0 {
				t.Errorf("%q is %+v", line, s)
			}
		}
	})
}

// BenchmarkTables looks for ten sockets among 100,000.
func BenchmarkTables(b *testing.B) {
	var text strings.Builder
	text.WriteString(inetHeading)
	const lines = 100_000
	for i := range lines {
		text.WriteString(inetLine(fmt.Sprintf("0100007F:%04X", i%65536), "0200007F:0050", "01", i+1))
	}
	dir := netDirectory(b, map[string]string{"tcp": text.String()})
	b.ReportAllocs()
	for b.Loop() {
		g := newReading(3, func(inode uint64) bool { return inode%(lines/10) == 1 })
		require.NoError(b, g.all(dir))
		require.Len(b, g.found, 10)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
}
