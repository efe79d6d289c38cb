package procfs

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
)

// parseFibTrie calls f for every local address of the network namespace other than loopback addresses. An address may come
// more than once. In the file (net/ipv4/fib_trie.c, fib_trie_seq_show) it is a leaf with its routes below:
//
//	|-- 192.0.2.2
//	   /32 host LOCAL
func parseFibTrie(r io.Reader, f func(netip.Addr)) error {
	var leaf netip.Addr
	return eachLine(r, func(line []byte) {
		first, rest := nextField(line)
		second, rest := nextField(rest)
		switch {
		case string(first) == "|--":
			leaf, _ = netip.ParseAddr(string(second)) // the zero Addr if it cannot be parsed
		case string(first) == "/32" && string(second) == "host" && leaf.IsValid() && !leaf.IsLoopback():
			if kind, _ := nextField(rest); string(kind) == "LOCAL" {
				f(leaf)
			}
		}
	})
}

// parseIfInet6 calls f for every address other than loopback and link-local addresses. Lines have this format
// (net/ipv6/addrconf.c, if6_seq_show), with all numbers in hexadecimal:
//
//	address index prefix_length scope flags name
func parseIfInet6(r io.Reader, f func(netip.Addr)) error {
	return eachLine(r, func(line []byte) {
		field, _ := nextField(line)
		var raw [16]byte
		if len(field) != 32 {
			return
		}
		if _, err := hex.Decode(raw[:], field); err != nil {
			return
		}
		if a := netip.AddrFrom16(raw); !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() {
			f(a)
		}
	})
}

// eachLine calls f for every line. A line longer than maxLine is an error.
func eachLine(r io.Reader, f func([]byte)) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, maxLine), maxLine)
	for scanner.Scan() {
		f(bytes.TrimSpace(scanner.Bytes()))
	}
	return scanner.Err()
}
