package recording

import "fmt"

// Payload says which bytes of connections a recording has.
type Payload string

// The choices.
const (
	// PayloadNone: none. Requests are not found in such a recording, only connections.
	PayloadNone Payload = "none"
	// PayloadHeads: the heads of HTTP/1 messages, with x in the place of everything that is not needed to parse them; the bodies are x, too. Nothing of
	// other protocols.
	PayloadHeads Payload = "heads"
	// PayloadAll: all that was captured, unchanged, with all secrets that are in it.
	PayloadAll Payload = "all"
)

// ParsePayload reads a choice.
func ParsePayload(text string) (Payload, error) {
	p := Payload(text)
	if p == PayloadNone || p == PayloadHeads || p == PayloadAll {
		return p, nil
	}
	return "", fmt.Errorf("payload: write none, heads or all, not %q", text)
}

// Holds says in plain words what a recording with these options may hold, for the person who makes it.
func (o *Options) Holds() []string {
	holds := []string{"times, byte counts, ports, process ids and errors of all connections that are observed"}
	switch o.Payload {
	case PayloadNone:
		holds = append(holds, "no payload: a replay shows connections, and no requests")
	case PayloadHeads:
		paths := "x in the place of paths, queries, "
		if o.KeepNames {
			paths = "paths and queries redacted as in spans, x in the place of "
		}
		holds = append(holds, "heads of HTTP/1 messages: method, status, and the fields that frame a message; "+paths+
			"other fields and bodies; no payload of other protocols")
	case PayloadAll:
		holds = append(holds, "PAYLOAD AS IT WAS, with passwords, cookies, tokens and personal data: hand it on only if all traffic was yours")
	}
	if o.KeepNames {
		holds = append(holds, "names of programs, services, users, containers and files as they are")
	} else {
		holds = append(holds, "names replaced, the same one always by the same")
	}
	if o.KeepAddresses {
		return append(holds, "addresses as they are")
	}
	return append(holds, "addresses replaced, the same one always by the same; loopback stays")
}
