package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/protocol"
)

// conditionsOfTLS are those that hold if this is known of TLS on a connection; nil: nothing is.
func conditionsOfTLS(t *protocol.TLS) (known conditions) {
	if t == nil {
		return 0
	}
	known.add(hasTLSServerName, t.ServerName != "")
	known.add(hasTLSOffer, len(t.Offered) > 0)
	known.add(hasTLSNextProtocol, t.NextProtocol != "")
	known.add(hasTLSProtocol, t.Version != "")
	known.add(hasTLSCipher, t.Cipher != "")
	known.add(hasTLSResumed, t.Resumed || t.Anew)
	known.add(hasTLSEstablished, t.Established || t.Failed)
	return known
}

// putTLS writes a text of what is known of TLS.
func putTLS(key string, text func(*protocol.TLS) string) value {
	return value{func(v pcommon.Value, r *report) { v.SetStr(r.bound.text(key, text(r.connection.TLS))) }, noText, 0}
}

func putTLSOffer(v pcommon.Value, r *report) {
	list := v.SetEmptySlice()
	list.EnsureCapacity(len(r.connection.TLS.Offered))
	r.bound.bytes += len(r.connection.TLS.Offered) * elementBytes
	for _, name := range r.connection.TLS.Offered {
		list.AppendEmpty().SetStr(r.bound.text(tlsOffered, name))
	}
}
