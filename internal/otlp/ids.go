package otlp

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// identity makes connection ids. They come from the host and from the connection, so that every collector gives a connection the same one.
type identity uint64

func newIdentity(host uint64) identity { return identity(splitmix.Mix(host)) }

// connectionID is the value of socketflow.connection.id. Two connections never have the same, because splitmix.Finalize is a bijection.
func (i identity) connectionID(number uint64) string {
	var raw [8]byte
	var digits [16]byte
	binary.BigEndian.PutUint64(raw[:], splitmix.Finalize(uint64(i)^number))
	hex.Encode(digits[:], raw[:])
	return string(digits[:])
}
