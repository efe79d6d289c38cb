package recording

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// written returns what a Reader makes of items.
func written(t *testing.T, with Options, items ...Item) ([]Item, Stats) {
	t.Helper()
	var to bytes.Buffer
	if with.Bytes == 0 {
		with.Bytes = MaxBytes
	}
	w, err := NewWriter(&to, with)
	require.NoError(t, err)
	require.NoError(t, w.Start(Start{Seeds: []trace.Seed{{1, 2}}}))
	for _, i := range items {
		w.Lock()
		w.Write(i)
		w.Unlock()
	}
	require.NoError(t, w.Close())
	r, err := NewReader(&to)
	require.NoError(t, err)
	var all []Item
	for {
		i, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, w.Totals().Stats
		}
		require.NoError(t, err)
		all = append(all, i)
	}
}

func dataEvent(payload string) *event.Event {
	return &event.Event{Kind: event.KindData, Time: 5, Flow: event.Flow{Cookie: 7}, Data: event.Data{Length: uint32(len(payload)), Payload: []byte(payload)}}
}

func openEvent(remote string) *event.Event {
	return &event.Event{Kind: event.KindOpen, Flow: event.Flow{Cookie: 7, Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort(remote)}}
}

func TestItemsAreReadAsTheyWereWritten(t *testing.T) {
	items := []Item{
		{Process: &process.Info{ID: process.ID{PID: 3, Start: 4}, Comm: "c", ServiceName: "s", CreatedAt: time.Unix(5, 6).UTC(), ResourceAttributes: []process.Attribute{{Key: "k", Value: "v"}}}},
		{Event: openEvent("[2001:db8::1]:443")},
		{Event: dataEvent("\x00\xffbytes")},
		{Tick: &socket.Reading{Before: 1, After: 2, Wall: time.Unix(3, 4).UTC(), Suspended: 5}},
		{Reached: 1<<64 - 1},
		{Event: &event.Event{Kind: event.KindOpen, Flow: event.Flow{Transport: event.UnixStream, Unix: &event.Unix{Local: "/s"}}}},
		{Forget: &Forget{Since: 9}},
		{Ended: 10},
	}
	again, stats := written(t, Options{Payload: PayloadAll, KeepNames: true, KeepAddresses: true}, items...)
	assert.Equal(t, items, again)
	assert.Equal(t, Stats{Events: 3, PayloadBytes: 7}, stats)
}

func TestNamesAndAddressesAreReplacedByTheSame(t *testing.T) {
	p := &process.Info{
		Comm: "secret", Executable: "/opt/secret", ServiceName: "secret", Owner: "secret", CommandLine: []string{"secret"}, ContainerName: "secret",
		CgroupPath: "/secret", PodContainer: "secret", InstanceID: "secret", ResourceAttributes: []process.Attribute{{Key: "secret", Value: "secret"}},
	}
	before := *p
	items, _ := written(t, Options{Payload: PayloadNone}, Item{Process: p}, Item{Process: p},
		Item{Event: openEvent("8.8.8.8:53")}, Item{Event: openEvent("8.8.8.8:54")}, Item{Event: openEvent("192.168.1.1:1")}, Item{Event: openEvent("[2600::1]:1")},
		Item{Event: &event.Event{Kind: event.KindOpen, Flow: event.Flow{Transport: event.UnixStream, Unix: &event.Unix{Local: "/secret", Remote: "@secret"}}}})
	assert.Equal(t, before, *p, "what the shard has is not changed")
	text, err := json.Marshal(items)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "secret")
	assert.Equal(t, items[0], items[1])
	assert.Equal(t, items[0].Process.Executable, "/"+items[0].Process.ServiceName, "the service is named for its executable")
	var remotes []string
	for _, i := range items[2:6] {
		assert.Equal(t, "127.0.0.1:80", i.Event.Flow.Local.String())
		remotes = append(remotes, i.Event.Flow.Remote.String())
	}
	assert.Equal(t, []string{"198.18.0.1:53", "198.18.0.1:54", "10.0.0.1:1", "[3fff::1]:1"}, remotes)
}

func TestAddressesBeyondTheBoundShareAReplacement(t *testing.T) {
	p := newPlaces()
	a := netip.MustParseAddr("8.0.0.0")
	for range maxPlaces + 2 {
		a = a.Next()
		p.replace(netip.AddrPortFrom(a, 1))
	}
	assert.EqualValues(t, 3, p.folded)
	assert.Len(t, p.by, maxPlaces-1)
}

func TestWithoutPayloadDataSaysThatItWasCut(t *testing.T) {
	items, stats := written(t, Options{Payload: PayloadNone}, Item{Event: dataEvent("secret")})
	d := items[0].Event.Data
	assert.Empty(t, d.Payload)
	assert.EqualValues(t, 6, d.Length)
	assert.Equal(t, event.CutLimit, d.CutReason)
	assert.Equal(t, Stats{Events: 1, PayloadLeftOut: 6}, stats)
}

func TestAFullRecordingCountsWhatIsMissing(t *testing.T) {
	items, stats := written(t, Options{Payload: PayloadAll, Bytes: 400}, Item{Reached: 1}, Item{Event: dataEvent(strings.Repeat("x", 1000))}, Item{Reached: 2})
	assert.Equal(t, []Item{{Reached: 1}}, items)
	assert.EqualValues(t, 2, stats.LeftOut)
}

func TestRulesByNameNeedNames(t *testing.T) {
	w, err := NewWriter(io.Discard, Options{Bytes: 1000})
	require.NoError(t, err)
	assert.ErrorIs(t, w.Start(Start{Rules: []selection.Rule{{Executable: "/bin/x"}}}), errRuleByName)
}

func TestWhatIsNoRecordingIsRefused(t *testing.T) {
	const start = `{"Format":1,"Seeds":[[1,2]]}` + "\n"
	for name, lines := range map[string]string{
		"nothing":                   "",
		"no JSON":                   "start\n",
		"another format":            `{"Format":2,"Seeds":[[1,2]]}` + "\n",
		"no shards":                 `{"Format":1}` + "\n",
		"a shard that is not there": start + `{"Shard":1,"Ended":1}` + "\n",
		"a shard below none":        start + `{"Shard":-1,"Ended":1}` + "\n",
		"an unknown kind":           start + `{"Event":{"Kind":200}}` + "\n",
		"an unknown direction":      start + `{"Event":{"Kind":10,"Data":{"Direction":2}}}` + "\n",
		"more payload than bytes":   start + `{"Event":{"Kind":10,"Data":{"Length":1,"Payload":"eHh4"}}}` + "\n",
		"an unknown transport":      start + `{"Event":{"Kind":3,"Flow":{"Transport":3}}}` + "\n",
		"frames without a header":   start + `{"Event":{"Kind":10,"Data":{"Form":{"Header":99}}}}` + "\n",
		"a line that is too long":   start + `{"Event":{"Owner":"` + strings.Repeat("x", maxLine) + `"}}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(compressed(t, lines))
			if err != nil {
				return // the first line is wrong
			}
			_, err = r.Next()
			assert.ErrorIs(t, err, ErrDamaged)
		})
	}
	_, err := NewReader(strings.NewReader("text"))
	assert.ErrorIs(t, err, ErrDamaged)
}

func compressed(t testing.TB, lines string) io.Reader {
	var to bytes.Buffer
	zip := gzip.NewWriter(&to)
	_, err := io.WriteString(zip, lines)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	return &to
}
