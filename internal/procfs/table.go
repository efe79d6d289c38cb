package procfs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// maxLine is the maximum length of a line, bytes. The longest lines are those of unix: 60 bytes and a name of at most 108.
const maxLine = 4096

var errOverlong = fmt.Errorf("a line is longer than %d bytes: no kernel writes such", maxLine)

// listenerKey is where a socket listens.
type listenerKey struct {
	transport Transport
	local     netip.AddrPort
}

// reading is one pass over the tables of a network namespace.
type reading struct {
	netns  uint32
	wanted func(inode uint64) bool
	found  map[uint64]Socket
	listen map[listenerKey]struct{}
}

func newReading(netns uint32, wanted func(inode uint64) bool) *reading {
	return &reading{
		netns: netns, wanted: wanted,
		found: make(map[uint64]Socket), listen: make(map[listenerKey]struct{}),
	}
}

// all reads the tables in dir, which is /proc/<pid>/net.
func (g *reading) all(dir string) error {
	var errs []error
	missing := 0
	for _, t := range tables {
		err := g.file(dir+"/"+t.name, t.line, t.transport)
		if errors.Is(err, os.ErrNotExist) { // for instance without IPv6
			missing++
			continue
		}
		errs = append(errs, err)
	}
	if missing == len(tables) {
		return fmt.Errorf("%w: %s has no tables", ErrGone, dir)
	}
	g.seeListeners()
	return errors.Join(errs...)
}

// seeListeners notes of the sockets that were found whether somebody listens at their ends, once all sockets have been read.
func (g *reading) seeListeners() {
	for inode, s := range g.found {
		if s.Transport != UnixStream {
			s.Listened = g.listensAt(s.Transport, s.Local) || g.listensAtAny(s.Transport, s.Local)
			here := s.Remote.Addr().IsLoopback() || s.Remote.Addr() == s.Local.Addr()
			s.PeerListened = g.listensAt(s.Transport, s.Remote) || here && g.listensAtAny(s.Transport, s.Remote)
			g.found[inode] = s
		}
	}
}

func (g *reading) listensAt(transport Transport, end netip.AddrPort) bool {
	_, listens := g.listen[listenerKey{transport, end}]
	return listens
}

// listensAtAny reports whether a socket listens at any address of the end's port. One of IPv6 takes IPv4 in, too, unless it was set
// not to, which the tables do not show.
func (g *reading) listensAtAny(transport Transport, end netip.AddrPort) bool {
	return end.Addr().Is4() && g.listensAt(transport, netip.AddrPortFrom(netip.IPv4Unspecified(), end.Port())) ||
		g.listensAt(transport, netip.AddrPortFrom(netip.IPv6Unspecified(), end.Port()))
}

var tables = [...]struct {
	name      string
	line      func(*reading, []byte, Transport)
	transport Transport
}{
	{"tcp", (*reading).inet, TCP},
	{"tcp6", (*reading).inet, TCP},
	{"udp", (*reading).inet, UDP},
	{"udp6", (*reading).inet, UDP},
	{"unix", (*reading).unix, UnixStream},
}

func (g *reading) file(path string, line func(*reading, []byte, Transport), transport Transport) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open a table of sockets: %w", gone(err))
	}
	defer f.Close() //nolint:errcheck // read only
	if err := g.lines(f, line, transport); err != nil {
		return fmt.Errorf("read %s: %w", path, gone(err))
	}
	return nil
}

// lines calls line for every line after the first, which is a heading.
func (g *reading) lines(r io.Reader, line func(*reading, []byte, Transport), transport Transport) error {
	buffered := bufio.NewReaderSize(r, maxLine)
	for heading := true; ; heading = false {
		text, err := buffered.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errOverlong
		}
		if len(text) > 0 && !heading {
			line(g, text, transport)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Fields of a line of tcp, tcp6, udp and udp6 (net/ipv4/tcp_ipv4.c, get_tcp4_sock; net/ipv4/udp.c, udp4_format_sock):
//
//	sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
const (
	fieldLocal  = 1
	fieldRemote = 2
	fieldState  = 3
	fieldInode  = 9
	inetFields  = 10
)

// inet parses a line. Sockets without an inode have no descriptor: they are in TIME_WAIT, or not yet accepted.
func (g *reading) inet(line []byte, transport Transport) {
	var fields [inetFields][]byte
	for i := range fields {
		if fields[i], line = nextField(line); len(fields[i]) == 0 {
			return
		}
	}
	number, ok := hexByte(fields[fieldState])
	state := State(number)
	inode, is := decimal(fields[fieldInode])
	if !ok || !is {
		return
	}
	listens := state == StateListen || transport == UDP && state == StateClose
	wanted := inode != 0 && g.wanted(inode)
	if !listens && !wanted {
		return
	}
	local, ok := endpoint(fields[fieldLocal])
	remote, is := endpoint(fields[fieldRemote])
	if !ok || !is {
		return
	}
	if listens {
		g.listen[listenerKey{transport, local}] = struct{}{}
	}
	if !wanted {
		return
	}
	if remote.Port() == 0 && remote.Addr().IsUnspecified() {
		remote = netip.AddrPort{}
	}
	g.found[inode] = Socket{Inode: inode, NetNS: g.netns, Transport: transport, Local: local, Remote: remote, State: state}
}

// Fields of a line of unix (net/unix/af_unix.c, unix_seq_show), and values to compare them with:
//
//	Num RefCount Protocol Flags Type St Inode Path
const (
	unixFlags     = 3
	unixType      = 4
	unixState     = 5
	unixInode     = 6
	unixFields    = 7
	unixStream    = "0001"     // SOCK_STREAM
	unixListens   = "00010000" // __SO_ACCEPTCON
	unixConnected = "03"       // SS_CONNECTED
)

func (g *reading) unix(line []byte, transport Transport) {
	var fields [unixFields][]byte
	for i := range fields {
		if fields[i], line = nextField(line); len(fields[i]) == 0 {
			return
		}
	}
	inode, ok := decimal(fields[unixInode])
	if !ok || string(fields[unixType]) != unixStream || inode == 0 || !g.wanted(inode) {
		return
	}
	name := bytes.TrimSuffix(bytes.TrimPrefix(line, []byte{' '}), []byte{'\n'})
	s := Socket{
		Inode: inode, NetNS: g.netns, Transport: transport, State: StateClose,
		Name: strings.ToValidUTF8(string(name), "\uFFFD"), Listened: len(name) > 0,
	}
	switch {
	case string(fields[unixFlags]) == unixListens:
		s.State = StateListen
	case string(fields[unixState]) == unixConnected:
		s.State = StateEstablished
	}
	g.found[inode] = s
}

// endpoint parses address:port in hexadecimal. An address is one or four 32-bit words; each word is in network byte order but
// printed as a number in host byte order.
func endpoint(field []byte) (netip.AddrPort, bool) {
	address, number, ok := bytes.Cut(field, []byte{':'})
	if !ok || len(number) != 4 {
		return netip.AddrPort{}, false
	}
	var port [2]byte
	if _, err := hex.Decode(port[:], number); err != nil {
		return netip.AddrPort{}, false
	}
	var raw [16]byte
	if len(address) != 8 && len(address) != 32 {
		return netip.AddrPort{}, false
	}
	n, err := hex.Decode(raw[:], address)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < n; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr := netip.AddrFrom4([4]byte(raw[:4]))
	if n == 16 {
		addr = netip.AddrFrom16(raw).Unmap()
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:])), true
}

func hexByte(field []byte) (byte, bool) {
	var b [1]byte
	if len(field) != 2 {
		return 0, false
	}
	_, err := hex.Decode(b[:], field)
	return b[0], err == nil
}
