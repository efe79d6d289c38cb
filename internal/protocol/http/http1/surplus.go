package http1

// surplus is a body that a response must not have (RFC 9112, 6.3: after HEAD, 204, 304), of the form that its head announces. Some servers
// send it all the same.
type surplus struct {
	size    uint64
	chunked bool
}

// skipSurplus returns how many of the next bytes are such a body. A body in chunks is read as others are.
func (p *parser) skipSurplus(s *stream, b []byte) (n int) {
	u := &s.surplus
	if *u == (surplus{}) || s.state != inStart || !s.Empty() {
		return 0
	}
	_, isSize := hex(b[0])
	switch {
	case mayBeResponse(b):
	case u.chunked && isSize:
		s.nextChunk()
	case !u.chunked && u.size > 0:
		n = int(min(uint64(len(b)), u.size))
		u.size -= uint64(n)
		return n
	}
	*u = surplus{}
	return 0
}
