package protocol

// Identity names the protocol of a connection.
type Identity struct {
	Name    string // network.protocol.name; "": not known
	Version string // network.protocol.version; "": the bytes do not show it, or the protocol has none
}
