package unparsed_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/unparsed"
)

const documentation = "../../../docs/signatures.md"

// TestTheDocumentationListsEverySignature, with where it comes from.
func TestTheDocumentationListsEverySignature(t *testing.T) {
	text, err := os.ReadFile(documentation)
	require.NoError(t, err)
	for _, row := range unparsed.Rows() {
		over := "streams"
		if row.Datagrams {
			over = "UDP"
		}
		assert.Contains(t, string(text), fmt.Sprintf("| `%s` | %s | %s |\n", row.Name, over, row.Source))
	}
	assert.Equal(t, len(unparsed.Rows()), strings.Count(string(text), "\n| `"))
}

// TestIdentifyTakesNoMemory: it is called with every transfer of a conversation that is not recognised.
func TestIdentifyTakesNoMemory(t *testing.T) {
	samples := []*unparsed.Sample{
		{Bytes: [protocol.Directions][]byte{[]byte("OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n")}, First: protocol.FromClient},
		{Bytes: [protocol.Directions][]byte{[]byte("EHLO h\r\n"), []byte("220 h ESMTP\r\n")}, First: protocol.FromServer},
		{Bytes: [protocol.Directions][]byte{[]byte("unknown to all"), []byte("* OK IMAP4\r\n")}, First: protocol.FromServer},
		{Bytes: [protocol.Directions][]byte{[]byte("put 1 0 60 5\r\n"), []byte("INSERTED 1\r\n")}, First: protocol.FromClient},
		{Bytes: [protocol.Directions][]byte{[]byte("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00")}, First: protocol.FromClient},
		{Bytes: [protocol.Directions][]byte{[]byte("\x00\x01file\x00octet\x00")}, Datagrams: true, Size: 13},
	}
	allocations := testing.AllocsPerRun(100, func() {
		for _, s := range samples {
			unparsed.Identify(s)
		}
	})
	assert.Zero(t, allocations)
}

// FuzzIdentify has any bytes: nothing panics, and more bytes of a stream never change a name that was found in fewer.
func FuzzIdentify(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"), []byte("220 h\r\n"), false, true)
	f.Add([]byte("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"), []byte{}, false, false)
	f.Add([]byte("\xc3\x00\x00\x00\x01\xff"), []byte("\x16\xfe\xfd"), true, false)
	f.Add([]byte("<34>1 "), []byte("\x00\x00\x00\x10"), false, false)
	f.Fuzz(func(t *testing.T, client, server []byte, datagrams, serverFirst bool) {
		client, server = client[:min(len(client), unparsed.PrefixBytes)], server[:min(len(server), unparsed.PrefixBytes)]
		s := unparsed.Sample{Bytes: [protocol.Directions][]byte{client, server}, Datagrams: datagrams, Size: len(client)}
		if serverFirst {
			s.First = protocol.FromServer
		}
		whole, _ := unparsed.Identify(&s)
		if datagrams {
			return
		}
		for cut := range client {
			s.Bytes[protocol.FromClient] = client[:cut]
			if found, _ := unparsed.Identify(&s); found.Name != "" && whole.Name != "" && found.Name != whole.Name {
				t.Fatalf("%q is named %q, and %q %q", client[:cut], found.Name, client, whole.Name)
			}
		}
	})
}
