package protocol

import "time"

// TLS is what the hellos of a TLS connection have said in clear text so far. Names are printable.
type TLS struct {
	ServerName string   // the host that the client has asked for (SNI); "": none
	Offered    []string // the application protocols that the client has offered (ALPN), the preferred one first

	Answered     bool   // the server's hello has come; what follows is not known without it
	Protocol     string // "tls", "ssl"; "" with Version: one that has no name
	Version      string // "1.0" to "1.3", "3" of SSL
	Cipher       string // IANA's name of the cipher suite, or its number
	NextProtocol string // the application protocol that the server has chosen; "": none, or (always in 1.3) that is encrypted
	// Resumed and Anew say whether keys of an earlier connection are used (in 1.3 a key that both had); neither: that is not known.
	Resumed, Anew bool

	// Established and Failed say what has become of the handshake; neither: that is not known.
	Established, Failed bool
	// Handshake is how long it took until it was Established, from the first byte of the client's hello on; 0: that is not known.
	Handshake time.Duration
}
