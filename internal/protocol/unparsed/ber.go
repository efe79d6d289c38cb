package unparsed

// Tags of BER (X.690).
const (
	berInteger    = 0x02
	berOctets     = 0x04
	berEnumerated = 0x0a
	berSequence   = 0x30
)

// ber reads elements of BER one after the other. more is set where the bytes end too early, bad where they are none.
type ber struct {
	b         []byte
	more, bad bool
}

// header reads a tag and a length.
func (r *ber) header() (tag byte, length int) {
	if r.more || r.bad {
		return 0, 0
	}
	if len(r.b) < 2 {
		r.more = true
		return 0, 0
	}
	tag, length = r.b[0], int(r.b[1])
	octets := 0
	if length >= 0x80 {
		octets = length & 0x7f
		if octets == 0 || octets > 4 {
			r.bad = true
			return 0, 0
		}
		if len(r.b) < 2+octets {
			r.more = true
			return 0, 0
		}
		length = 0
		for _, c := range r.b[2 : 2+octets] {
			length = length<<8 | int(c)
		}
	}
	r.b = r.b[2+octets:]
	return tag, length
}

// enter reads the header of an element of a tag, and returns the length.
func (r *ber) enter(tag byte) int {
	if !r.more && len(r.b) > 0 && r.b[0] != tag {
		r.bad = true
	}
	_, length := r.header()
	return length
}

// small reads an integer, or another element of a tag, of at most four bytes.
func (r *ber) small(tag byte) int {
	length := r.enter(tag)
	switch {
	case r.more || r.bad:
		return 0
	case length < 1 || length > 4:
		r.bad = true
		return 0
	case len(r.b) < length:
		r.more = true
		return 0
	}
	n := 0
	for _, c := range r.b[:length] {
		n = n<<8 | int(c)
	}
	r.b = r.b[length:]
	return n
}

// octets reads the contents of an element of a tag.
func (r *ber) octets(tag byte) []byte {
	length := r.enter(tag)
	switch {
	case r.more || r.bad:
		return nil
	case len(r.b) < length:
		r.more = true
		return nil
	}
	o := r.b[:length]
	r.b = r.b[length:]
	return o
}

func (r *ber) answer(fits bool) answer {
	switch {
	case r.bad:
		return no
	case r.more:
		return more
	case fits:
		return yes
	}
	return no
}

// Tags of the operations of LDAP that may come first (4.2, 4.5.1, 4.12).
const (
	ldapBind     = 0x60
	ldapSearch   = 0x63
	ldapExtended = 0x77
)

// ldapRequest accepts a message with a bind, a search, or an extended operation (StartTLS is one).
func ldapRequest(in input) (answer, string) {
	r := &ber{b: in.bytes}
	size := r.enter(berSequence)
	id := r.small(berInteger)
	if a := r.answer(size >= 7 && id > 0); a != yes {
		return a, ""
	}
	if len(r.b) == 0 {
		return more, ""
	}
	operation, length := r.header()
	if a := r.answer(length < size); a != yes {
		return a, ""
	}
	switch operation {
	case ldapBind:
		return ldapBindRequest(r)
	case ldapSearch:
		r.octets(berOctets)
		scope := r.small(berEnumerated)
		aliases := r.small(berEnumerated)
		return r.answer(scope <= 3 && aliases <= 3), ""
	case ldapExtended:
		oid := r.octets(0x80)
		return r.answer(len(oid) > 4 && string(oid[:4]) == "1.3."), ""
	}
	return no, ""
}

func ldapBindRequest(r *ber) (answer, string) {
	version := r.small(berInteger)
	r.enter(berOctets)
	if a := r.answer(version == 2 || version == 3); a != yes {
		return a, ""
	}
	if version == 2 {
		return yes, "2"
	}
	return yes, "3"
}

// snmpMessage accepts a message of a version, with a community and an operation, or with the header of version 3.
func snmpMessage(in input) (answer, string) {
	r := &ber{b: in.bytes}
	size := r.enter(berSequence)
	version := r.small(berInteger)
	if a := r.answer(size > 10 && version <= 3 && version != 2); a != yes {
		return a, ""
	}
	if version == 3 {
		header := r.enter(berSequence)
		id := r.small(berInteger)
		most := r.small(berInteger)
		flags := r.octets(berOctets)
		model := r.small(berInteger)
		return r.answer(header >= 12 && id >= 0 && most >= 484 && len(flags) == 1 && model == 3), "3"
	}
	r.octets(berOctets)
	operation, _ := r.header()
	return r.answer(operation >= 0xa0 && operation <= 0xa8), [...]string{"1", "2c"}[version]
}

// kerberosRequest accepts an AS-REQ or a TGS-REQ of version 5.
func kerberosRequest(in input) (answer, string) {
	r := &ber{b: in.bytes}
	tag, _ := r.header()
	r.enter(berSequence)
	r.enter(0xa1)
	version := r.small(berInteger)
	r.enter(0xa2)
	kind := r.small(berInteger)
	return r.answer((tag == 0x6a && kind == 10 || tag == 0x6c && kind == 12) && version == 5), "5"
}

// kerberosOverStream accepts the same behind its length.
func kerberosOverStream(in input) (answer, string) {
	b := in.bytes
	switch {
	case b[0] != 0, len(b) > 4 && b[4] != 0x6a && b[4] != 0x6c:
		return no, ""
	case len(b) <= 4:
		return more, ""
	}
	return kerberosRequest(input{bytes: b[4:]})
}
