package procfs

// nextField cuts off the first field of a line. Any number of blanks separates fields.
func nextField(line []byte) (field, rest []byte) {
	begin := 0
	for begin < len(line) && isBlank(line[begin]) {
		begin++
	}
	end := begin
	for end < len(line) && !isBlank(line[end]) {
		end++
	}
	return line[begin:end], line[end:]
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// decimal reads a number without allocating.
func decimal(field []byte) (n uint64, ok bool) {
	if len(field) == 0 || len(field) > 19 {
		return 0, false
	}
	for _, c := range field {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, true
}
