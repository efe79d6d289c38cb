package dns

import (
	"net/netip"
	"unicode/utf8"

	"golang.org/x/net/dns/dnsmessage"
)

// The operations, by opcode: RFC 1035, section 4.1.1; RFC 1996; RFC 2136.
const (
	opQuery  = 0
	opNotify = 4
	opUpdate = 5
	opcodes  = 16
)

var opNames = [opcodes]string{opQuery: "query", 1: "iquery", 2: "status", opNotify: "notify", opUpdate: "update", 6: "dso"}

// Types that the library does not name: RFC 1995, section 4.
const typeIXFR = dnsmessage.Type(251)

// typeNames are the types that clients ask for, by their names in IANA's registry of DNS parameters. The others are left
// out of names of spans, because a client can choose any.
var typeNames = map[dnsmessage.Type]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA",
	29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 42: "APL", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG",
	47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY",
	61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF", 108: "EUI48", 109: "EUI64", 249: "TKEY", 250: "TSIG",
	251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA", 32768: "TA", 32769: "DLV",
}

// spanNames has, of every operation, the names with a type.
var spanNames = func() (all [opcodes]map[dnsmessage.Type]string) {
	for op, name := range opNames {
		if name == "" {
			opNames[op] = "opcode"
		}
		all[op] = make(map[dnsmessage.Type]string, len(typeNames))
		for t, of := range typeNames {
			all[op][t] = opNames[op] + " " + of
		}
	}
	return all
}()

// spanName is of low cardinality, though a peer chooses opcode and type.
func spanName(op uint8, t dnsmessage.Type) string {
	if name := spanNames[op][t]; name != "" {
		return name
	}
	return opNames[op]
}

// Response codes that are referred to.
const (
	noError  = 0
	servFail = 2
	notImp   = 4
)

// codeNames are the response codes by IANA's registry; 16 and above are of EDNS (RFC 6891, section 6.1.3).
var codeNames = map[uint16]string{
	noError: "NOERROR", 1: "FORMERR", servFail: "SERVFAIL", 3: "NXDOMAIN", notImp: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET",
	9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI", 16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
	22: "BADTRUNC", 23: "BADCOOKIE",
}

// other stands for what has no name, as in error.type.
const other = "_OTHER"

// codeName is of low cardinality, as error.type has to be.
func codeName(code uint16) string {
	if name := codeNames[code]; name != "" {
		return name
	}
	return other
}

// appendText appends a name in wire form, without the label of length 0 at its end, as text: RFC 4343, section 2.1. The bytes of UTF-8
// stay, which mDNS uses (RFC 6762, section 16).
func appendText(to, name []byte) []byte {
	if len(name) == 0 {
		return append(to, '.')
	}
	for len(name) > 0 {
		label := name[1 : 1+name[0]]
		name = name[1+len(label):]
		valid := utf8.Valid(label)
		for _, c := range label {
			switch {
			case c == '.' || c == '\\':
				to = append(to, '\\', c)
			case c < ' ' || c == 0x7f || c >= utf8.RuneSelf && !valid:
				to = append(to, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			default:
				to = append(to, c)
			}
		}
		if len(name) > 0 {
			to = append(to, '.')
		}
	}
	return to
}

// equalNames compares names in wire form. The case of ASCII letters does not matter (RFC 4343); lengths of labels are no letters.
func equalNames(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// texts remembers addresses as text, because the same ones are answered again and again.
type texts map[netip.Addr]string

// maxTexts bounds texts.
const maxTexts = 1024

func (t *texts) of(a netip.Addr) string {
	s, ok := (*t)[a]
	if !ok {
		if *t == nil {
			*t = make(texts)
		}
		if len(*t) >= maxTexts {
			clear(*t)
		}
		s = a.String()
		(*t)[a] = s
	}
	return s
}
