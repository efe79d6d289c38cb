package metrics

import (
	"encoding/binary"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// plan is which metrics the exchanges of a protocol have, and which of their attributes are dimensions.
type plan struct {
	families   []*exchangeFamily
	markers    []int // by family: the index of its marker
	dimensions []dimension
	path       int // index of url.path; -1: there is none
	route      int // index of http.route; -1: likewise
	status     int // index of http.response.status_code; -1: likewise
}

type dimension struct {
	index int
	key   *protocol.Key
}

func newPlan(keys *protocol.Keys, families []exchangeFamily) *plan {
	p := &plan{path: -1, route: -1, status: -1}
	all := keys.All()
	for i := range families {
		f := &families[i]
		for index := range all {
			if all[index].Name == f.marker {
				p.families, p.markers = append(p.families, f), append(p.markers, index)
			}
		}
	}
	for index := range all {
		switch all[index].Name {
		case string(semconv.URLPathKey):
			p.path = index
		case httpRoute:
			p.route = index
		case string(semconv.HTTPResponseStatusCodeKey):
			p.status = index
		}
		if all[index].Metric && all[index].Type != protocol.List {
			p.dimensions = append(p.dimensions, dimension{index, &all[index]})
		}
	}
	return p
}

// familyOf is that of an exchange; nil: it has none.
func (p *plan) familyOf(x *protocol.Exchange, asking bool) *Family {
	for i, f := range p.families {
		if f.always || x.Mask.Has(p.markers[i]) {
			return f.of(asking)
		}
	}
	return nil
}

// isDatabase reports whether the exchanges are operations of a database.
func (p *plan) isDatabase() bool {
	return len(p.families) > 0 && p.families[0].asking.database
}

// pathOf is the path of an exchange without a route; nil: it has none.
func (p *plan) pathOf(x *protocol.Exchange) []byte {
	if p.path < 0 || !x.Mask.Has(p.path) || p.route >= 0 && x.Mask.Has(p.route) {
		return nil
	}
	return x.Value(p.path).Text
}

// hasSucceeded reports whether an exchange has the status of something that the server has.
func (p *plan) hasSucceeded(x *protocol.Exchange) bool {
	return p.status >= 0 && x.Mask.Has(p.status) && x.Value(p.status).Int < 400
}

// appendKey appends what distinguishes the series of an exchange from all others of the process, but for the server.
func (p *plan) appendKey(key []byte, f *Family, x *protocol.Exchange) []byte {
	key = append(key, f.id)
	for i := range p.dimensions {
		d := &p.dimensions[i]
		if !x.Mask.Has(d.index) {
			continue
		}
		key = append(key, byte(d.index))
		if d.key.Type == protocol.Int {
			key = binary.AppendVarint(key, x.Value(d.index).Int)
		} else {
			key = appendText(key, x.Value(d.index).Text)
		}
	}
	key = append(key, endOfDimensions)
	key = appendText(key, x.Error)
	key = binary.AppendUvarint(key, uint64(x.Errno))
	if f.version {
		key = appendText(appendText(key, x.Protocol), x.Version)
	}
	return key
}

// endOfDimensions is no index of a dimension: there are protocol.MaxKeys.
const endOfDimensions = 0xff

func appendText[T string | []byte](key []byte, text T) []byte {
	key = binary.AppendUvarint(key, uint64(len(text)))
	return append(key, text...)
}

// serverOf is who was asked.
type serverOf struct {
	named string // by the request; "": it names nobody
	port  uint16
}

func newServerOf(c *socket.Connection, x *protocol.Exchange) serverOf {
	s := serverOf{named: x.Server, port: c.Remote.Port()}
	if x.Server != "" && x.ServerPort != 0 {
		s.port = x.ServerPort
	}
	return s
}

// appendKey appends who was asked: as the request names it, else as the process had asked DNS for it, else its address.
func (s serverOf) appendKey(key []byte, c *socket.Connection) []byte {
	switch {
	case s.named != "":
		key = appendText(append(key, 's'), s.named)
	case c.PeerName != "":
		key = appendText(append(key, 'n'), c.PeerName)
	case c.Unix != nil:
		key = appendText(append(key, 'u'), c.Unix.Remote)
	default:
		address := c.Remote.Addr().As16()
		key = append(append(key, 'a'), address[:]...)
	}
	return binary.BigEndian.AppendUint16(key, s.port)
}

func (s serverOf) address(c *socket.Connection) string {
	switch address := c.Remote.Addr(); {
	case s.named != "":
		return s.named
	case c.PeerName != "":
		return c.PeerName
	case c.Unix != nil:
		return c.Unix.Remote
	case address.IsValid() && !address.IsUnspecified():
		return address.String()
	default:
		return ""
	}
}

// appendAttributes appends what that stands for.
func (s serverOf) appendAttributes(all []Attribute, c *socket.Connection, o *Options) []Attribute {
	if address := s.address(c); address != "" {
		all = append(all, Attribute{Key: serverAddress, Text: o.Text(address)})
	}
	if s.port != 0 {
		all = append(all, Attribute{Key: serverPort, Int: int64(s.port), IsInt: true})
	}
	return all
}

// attributesOf are what the key stands for.
func (p *plan) attributesOf(f *Family, x *protocol.Exchange, o *Options) (all []Attribute) {
	add := func(key, value string) {
		if value != "" {
			all = append(all, Attribute{Key: key, Text: o.Text(value)})
		}
	}
	for i := range p.dimensions {
		d := &p.dimensions[i]
		switch {
		case !x.Mask.Has(d.index):
		case d.key.Type == protocol.Int:
			all = append(all, Attribute{Key: d.key.Name, Int: x.Value(d.index).Int, IsInt: true})
		default:
			add(d.key.Name, string(x.Value(d.index).Text))
		}
	}
	if x.Errno != 0 {
		add(errorType, o.Errno(x.Errno))
	} else {
		add(errorType, x.Error)
	}
	if f.version {
		if x.Protocol != usualProtocol {
			add(protocolName, x.Protocol)
		}
		add(protocolVersion, x.Version)
	}
	return all
}
