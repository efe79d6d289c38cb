package http

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// sw8 is the value of a header field of that name, with what agents send behind what is read.
func sw8(sampled, trace, segment, span string) string {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return strings.Join([]string{
		sampled, encode(trace), encode(segment), span, encode("shop"), encode("instance"), encode("/path"), encode("127.0.0.1:80"),
	}, "-")
}

func TestTraceContextsOfSkyWalking(t *testing.T) {
	const (
		uuid    = "de5980b8-fce3-4a37-aab9-b4ac3af7eedd"
		plain   = "de5980b8fce34a37aab9b4ac3af7eedd"
		segment = "56a5e1c519ae4c76a2b8b11d92cead7f"
		// 12 is the thread; 16563474296430001 is 0x3ad86461af5db1.
		java = segment + ".12.16563474296430001"
		// The halves of the segment, one xor the other.
		span       = "f41d50d88b60e109"
		longest    = "0000000000.000000000000000000"
		tooDeep    = segment + ".1.2.3"
		notANumber = segment + ".a.1"
	)
	pool := poolOf(t, nil)
	for value, want := range map[string]string{
		sw8("1", uuid, segment, "0"):                    plain + "-" + span + "-01",
		sw8("0", plain, segment, "0"):                   plain + "-" + span + "-00",
		sw8("1", plain, segment, "258"):                 plain + "-f61c50d88b60e109-01",
		sw8("1", plain, segment+"."+longest, "0"):       plain + "-" + span + "-01",
		sw8("1", java, segment, "3"):                    "56a5e1c515ae4c7613e51e7cf616977f-f71d50d88b60e109-01",
		sw8("1", plain, segment, ""):                    "",
		sw8("1", plain, segment, "-1"):                  "",
		sw8("1", plain, segment, "4294967296"):          "",
		sw8("1", plain, tooDeep, "0"):                   "",
		sw8("1", notANumber, segment, "0"):              "",
		sw8("1", plain[1:], segment, "0"):               "",
		sw8("1", plain+"0", segment, "0"):               "",
		sw8("1", strings.Repeat("0", 32), segment, "0"): "",
		sw8("1", plain, strings.Repeat("x", 200), "0"):  "",
		"1-!-!-0": "",
		"":        "",
		"0":       "",
	} {
		if got := parentOf(t, pool, "SW8: "+value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestTraceContextOfSkyWalkingDoesNotAllocate(t *testing.T) {
	pool := poolOf(t, nil)
	m := pool.Get(&protocol.Session{Side: protocol.Server}, new(Account))
	name, value := []byte("sw8"), []byte(sw8("1", trace128+".12.16563474296430001", trace128, "3"))
	m.RequestHeader(name, value)
	if got := testing.AllocsPerRun(100, func() { m.RequestHeader(name, value) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
