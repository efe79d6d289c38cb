package tlslib

import (
	"fmt"
	"regexp"
	"strings"
)

// openSSLVersion is what OpenSSL_version_num returns, or else what is at the end of the shared object's name. It is "" if neither is
// known.
func (im *image) openSSLVersion(symbols map[string]uint64) string {
	if at := symbols[openSSLVersion]; at != 0 {
		n, ok := im.machine.constant(im, at)
		major, minor := n>>28, n>>20&0xff
		switch {
		case !ok:
		case major >= 3: // OpenSSL_version_num(3): 0xMNN00PP0
			return fmt.Sprintf("%d.%d.%d", major, minor, n>>4&0xff)
		case major == 1: // 0xMNNFFPPS, where PP is a letter
			text := fmt.Sprintf("%d.%d.%d", major, minor, n>>12&0xff)
			if letter := n >> 4 & 0xff; letter > 0 && letter <= 26 {
				text += string(rune('a' + letter - 1))
			}
			return text
		}
	}
	if d, ok := im.dynamic(); ok {
		_, version, _ := strings.Cut(d.soname(), ".so.")
		return version
	}
	return ""
}

var gnuTLSNumber = regexp.MustCompile(`^3\.\d{1,2}\.\d{1,2}$`)

// gnuTLSVersion is the text that gnutls_check_version compares with.
func (im *image) gnuTLSVersion(symbols map[string]uint64) string {
	at := symbols[gnuTLSVersion]
	if at == 0 {
		return ""
	}
	b, err := im.walk(at)
	if err != nil {
		return ""
	}
	for _, addr := range im.machine.texts(b) {
		off, _, err := im.offset(addr, 0)
		if err != nil {
			continue
		}
		if text := im.text(off, maxSectionName); gnuTLSNumber.MatchString(text) {
			return text
		}
	}
	return ""
}
