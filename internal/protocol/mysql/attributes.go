package mysql

// The types of values that have no length before them (field_types.h), and their lengths; 0 stands for a length in one byte.
var valueBytes = map[byte]uint64{
	0x01: 1, 0x02: 2, 0x03: 4, 0x04: 4, 0x05: 8, 0x08: 8, 0x09: 4, 0x0d: 2, // numbers
	0x07: 0, 0x0a: 0, 0x0b: 0, 0x0c: 0, // times
}

const (
	nullType       = 0x06
	mostAttributes = 8 // where it is not known whether there are any: no statement begins with such a byte
)

// mayHaveAttributes reports whether there are attributes before a statement, by their number, and by that of their sets, which is 1.
func mayHaveAttributes(b []byte) bool { return len(b) > 1 && b[0] <= mostAttributes && b[1] == 1 }

// behindAttributes returns the statement behind attributes. Their values are not looked at.
func behindAttributes(b []byte) (sql []byte, ok bool) {
	f := fields{rest: b}
	count := f.length()
	f.length()
	if count == 0 {
		return f.rest, !f.over
	}
	if count > uint64(len(b)) {
		return nil, false
	}
	nulls := f.take((count + 7) / 8)
	f.take(1) // the types follow
	names := f
	for range count {
		f.take(2)
		f.text()
	}
	for i := range count {
		if f.over {
			return nil, false
		}
		kind := byte(names.number(2))
		names.text()
		if kind != nullType && nulls[i/8]>>(i%8)&1 == 0 {
			f.value(kind)
		}
	}
	return f.rest, !f.over
}

// value passes over a value of a type.
func (f *fields) value(kind byte) {
	switch n, fixed := valueBytes[kind]; {
	case !fixed:
		f.text()
	case n == 0:
		f.take(f.number(1))
	default:
		f.take(n)
	}
}

const withTypes = 1 << 7 // a flag of COM_STMT_BULK_EXECUTE: the parameters' types come first

// executions counts the rows of parameters that COM_STMT_BULK_EXECUTE has behind the statement's number; 0: they cannot be counted. Before each
// parameter there is a byte, which is zero if a value follows.
func (s *statement) executions(f fields) (n int) {
	if flags := f.number(2); flags&withTypes == 0 || s.parameters == 0 {
		return 0
	}
	types := f.take(2 * s.parameters)
	for ; len(f.rest) > 0; n++ {
		for i := range s.parameters {
			if f.number(1) == 0 && !f.over {
				f.value(types[2*i])
			}
		}
	}
	if f.over {
		return 0
	}
	return n
}
