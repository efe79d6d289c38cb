//go:build amd64 || arm64

package kernel

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestDatagramDataOfEveryCall: whichever calls transfer a datagram, it is in one event at each end, in the right flow.
func TestDatagramDataOfEveryCall(t *testing.T) {
	var payloads [][]byte
	var wholes []transfer
	var lengths []int
	for i, n := range []int{1, 40, 512, 1400, 3000} {
		p := append([]byte{byte('0' + i)}, letters(n-1)...)
		payloads, wholes, lengths = append(payloads, p), append(wholes, whole(string(p))), append(lengths, n)
	}
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		for familyName, family := range map[string]int{"IPv4": unix.AF_INET, "IPv6": unix.AF_INET6} {
			for _, connected := range []bool{false, true} {
				for sendName, send := range sendWays {
					for receiveName, receive := range receiveWays {
						if !connected && (strings.HasPrefix(sendName, "write") || strings.HasPrefix(receiveName, "read")) {
							continue // from or to whom?
						}
						name := familyName + " " + sendName + ", " + receiveName
						if connected {
							name += ", connected"
						}
						t.Run(name, func(t *testing.T) {
							runtime.LockOSThread()
							defer runtime.UnlockOSThread()
							a, b := newDatagramEnd(t, family), newDatagramEnd(t, family)
							if connected {
								a.connect(b)
								b.connect(a)
							}
							send(a, b, payloads)
							receive(b, lengths)
							expectDatagrams(t, tracer,
								expectedFlow{a, b.addrPort(), wholes, nil}, expectedFlow{b, a.addrPort(), nil, wholes})
						})
					}
				}
			}
		}
	})
}

// TestDatagramDataOfOddCalls: what calls can do beside the ordinary.
func TestDatagramDataOfOddCalls(t *testing.T) {
	nobody := netip.AddrPort{}
	large := string(letters(6000))
	cases := map[string]struct {
		needsFlow bool // of a datagram from nobody knows whom
		do        func(a, b, c *datagramEnd) []expectedFlow
	}{
		"two peers on one socket": {false, func(a, b, c *datagramEnd) []expectedFlow {
			sendBatch(a, b, [][]byte{[]byte("a1"), []byte("a2")})
			sendBatch(c, b, [][]byte{[]byte("c1")})
			sendBatch(a, b, [][]byte{[]byte("a3")})
			receiveBatch(b, []int{2, 2, 2})
			sendWays["sendto"](b, c, [][]byte{[]byte("to c")})
			receiveWays["recvmsg"](b, []int{2})
			receiveWays["recvfrom"](c, []int{4})
			fromA, fromC := []transfer{whole("a1"), whole("a2"), whole("a3")}, []transfer{whole("c1")}
			return []expectedFlow{
				{a, b.addrPort(), fromA, nil},
				{c, b.addrPort(), fromC, []transfer{whole("to c")}},
				{b, a.addrPort(), nil, fromA},
				{b, c.addrPort(), []transfer{whole("to c")}, fromC},
			}
		}},
		"more than is captured of a datagram": {false, func(a, b, _ *datagramEnd) []expectedFlow {
			sendWays["sendto"](a, b, [][]byte{[]byte(large)})
			receiveWays["recvfrom"](b, []int{len(large)})
			sendWays["sendmsg"](a, b, [][]byte{[]byte(large)})
			receiveWays["recvmsg"](b, []int{len(large)})
			cut := part(large[:4096], len(large), event.CutLimit)
			return []expectedFlow{
				{a, b.addrPort(), []transfer{cut, cut}, nil},
				{b, a.addrPort(), nil, []transfer{cut, cut}},
			}
		}},
		"MSG_TRUNC shows the length of what was dropped": {false, func(a, b, _ *datagramEnd) []expectedFlow {
			sendWays["sendto"](a, b, [][]byte{[]byte("0123456789"), []byte("0123456789"), []byte("next")})
			n, _, err := unix.Recvfrom(b.fd, make([]byte, 4, 64)[:4], unix.MSG_TRUNC)
			if n != 10 || err != nil {
				b.t.Fatal(n, err)
			}
			n, _, _, _, err = unix.RecvmsgBuffers(b.fd, [][]byte{make([]byte, 2), make([]byte, 3)}, nil, unix.MSG_TRUNC)
			if n != 10 || err != nil {
				b.t.Fatal(n, err)
			}
			receiveWays["recvfrom"](b, []int{4})
			return []expectedFlow{
				{a, b.addrPort(), []transfer{whole("0123456789"), whole("0123456789"), whole("next")}, nil},
				{b, a.addrPort(), nil, []transfer{
					part("0123", 10, event.CutNoBuffer), part("01234", 10, event.CutNoBuffer), whole("next"),
				}},
			}
		}},
		"an empty datagram is none": {false, func(a, b, _ *datagramEnd) []expectedFlow {
			sendBatch(a, b, [][]byte{[]byte("one"), nil, []byte("two")})
			receiveBatch(b, []int{3, 0, 3})
			both := []transfer{whole("one"), whole("two")}
			return []expectedFlow{{a, b.addrPort(), both, nil}, {b, a.addrPort(), nil, both}}
		}},
		"an empty datagram is none, connected": {false, func(a, b, _ *datagramEnd) []expectedFlow {
			a.connect(b)
			b.connect(a)
			sendBatch(a, b, [][]byte{[]byte("one"), nil, []byte("two")})
			receiveBatch(b, []int{3, 0, 3})
			both := []transfer{whole("one"), whole("two")}
			return []expectedFlow{{a, b.addrPort(), both, nil}, {b, a.addrPort(), nil, both}}
		}},
		"a connected socket sends to another address": {false, func(a, b, c *datagramEnd) []expectedFlow {
			a.connect(b)
			must(a.t, unix.Sendto(a.fd, []byte("to c"), 0, c.address))
			must(a.t, unix.Sendmsg(a.fd, []byte("c too"), nil, c.address, 0))
			must(a.t, unix.Sendto(a.fd, []byte("to b"), 0, nil))
			receiveWays["recvfrom"](b, []int{4})
			receiveWays["recvfrom"](c, []int{4, 5})
			toB, toC := []transfer{whole("to b")}, []transfer{whole("to c"), whole("c too")}
			return []expectedFlow{
				{a, b.addrPort(), toB, nil},
				{a, c.addrPort(), toC, nil},
				{b, a.addrPort(), nil, toB},
				{c, a.addrPort(), nil, toC},
			}
		}},
		"from whom is not known where nobody asks": {true, func(a, b, _ *datagramEnd) []expectedFlow {
			sendWays["sendto"](a, b, [][]byte{[]byte("one"), []byte("three")})
			receiveWays["read"](b, []int{3})
			if n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(b.fd), pointer(&make([]byte, 9)[0]), 9, 0, 0, 0); n != 5 {
				b.t.Fatal(n, errno)
			}
			both := []transfer{whole("one"), whole("three")}
			return []expectedFlow{{a, b.addrPort(), both, nil}, {b, nobody, nil, both}}
		}},
		"by io_uring": {true, func(a, b, _ *datagramEnd) []expectedFlow {
			a.connect(b)
			b.connect(a)
			ring := newUring(a.t, 0)
			ring.do(4, ring.request(opSend, a.fd, []byte("text")))
			ring.do(4, ring.request(opRecv, b.fd, make([]byte, 100)))
			text := []transfer{uringTransfer(a.t)("text")}
			return []expectedFlow{{a, b.addrPort(), text, nil}, {b, a.addrPort(), nil, text}}
		}},
		"a call that receives nothing": {false, func(a, b, _ *datagramEnd) []expectedFlow {
			_, _, err := unix.Recvfrom(b.fd, make([]byte, 9), unix.MSG_DONTWAIT)
			if !errors.Is(err, unix.EAGAIN) {
				b.t.Fatal(err)
			}
			sendWays["sendto"](a, b, [][]byte{[]byte("text")})
			receiveWays["recvfrom"](b, []int{4})
			return []expectedFlow{{a, b.addrPort(), []transfer{whole("text")}, nil}, {b, a.addrPort(), nil, []transfer{whole("text")}}}
		}},
	}
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, flows bool) {
		for name, c := range cases {
			if c.needsFlow && !flows {
				continue
			}
			t.Run(name, func(t *testing.T) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				want := c.do(newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET))
				expectDatagrams(t, tracer, want...)
			})
		}
	})
}
