package tls

const (
	hostName     = 0 // type of a name in server_name
	maxHost      = 253
	maxLabel     = 63
	maxNextBytes = 64 // of an application protocol's name; the longest that is registered has some 20
)

// serverName is the host's name in a server_name extension. It is empty if there is none, or none that a host can have (RFC 1123, and
// the underscores that are in use).
func serverName(e *fields) string {
	list := fields{b: e.vector16()}
	for len(list.b) > 0 {
		kind, name := list.take(1), list.vector16()
		if list.short {
			e.short = true
			break
		}
		if kind[0] == hostName {
			if isHost(name) {
				return string(name)
			}
			break
		}
	}
	return ""
}

func isHost(name []byte) bool {
	if len(name) == 0 || len(name) > maxHost {
		return false
	}
	label := 0
	for _, c := range name {
		switch {
		case c == '.' && label > 0:
			label = 0
			continue
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		if label++; label > maxLabel {
			return false
		}
	}
	return label > 0
}

// nextProtocols are the names in an ALPN extension that are printable; others are there to be ignored (RFC 8701).
func nextProtocols(e *fields) (all []string) {
	list := fields{b: e.vector16()}
	for len(list.b) > 0 && len(all) < maxOffered {
		name := list.vector8()
		if list.short {
			e.short = true
			return nil
		}
		if isPrintable(name) {
			all = append(all, nextProtocol(name))
		}
	}
	return all
}

func isPrintable(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxNextBytes
}

// usual are names that cost no memory.
var usual = [...]string{"h2", "http/1.1", "http/1.0", "postgresql", "acme-tls/1"}

func nextProtocol(name []byte) string {
	for _, known := range usual {
		if string(name) == known {
			return known
		}
	}
	return string(name)
}
