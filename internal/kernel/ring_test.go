//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// testRing is a ring buffer of 64 bytes in memory of the test, which writes as the kernel does.
func testRing() *ring {
	const page = 8 // room for the position
	r := &ring{consumer: make([]byte, page), producer: make([]byte, page+64)}
	r.attach(page)
	return r
}

// put writes a record with these bits in its header. Bytes beyond the end go to the beginning, as in the kernel's double mapping.
func (r *ring) put(data []byte, bits uint32) {
	at := *r.produced
	binary.NativeEndian.PutUint32(r.data[at&r.mask():], uint32(len(data))|bits)
	for i, b := range data {
		r.data[(at+recordHeader+uint64(i))&r.mask()] = b
	}
	size := (len(data) + recordAlignment - 1) &^ (recordAlignment - 1)
	atomic.StoreUint64(r.produced, at+recordHeader+uint64(size))
}

func TestRecordsAreReadWhole(t *testing.T) {
	r := testRing()
	var buf []byte
	for length := range 57 { // the sum of their sizes is no multiple of the ring's: they wrap around everywhere
		want := bytes.Repeat([]byte{byte(length + 1)}, length)
		if length > 0 {
			want[length-1] = 0xff
		}
		r.put(want, 0)
		require.NotZero(t, r.waiting())
		got, ok, err := r.read(buf)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, append([]byte{}, got...), "%d bytes", length)
		buf = got
		_, ok, err = r.read(buf)
		require.NoError(t, err)
		require.False(t, ok, "there is no second one")
		require.Zero(t, r.waiting())
	}
}

func TestDiscardedRecordsAreSkipped(t *testing.T) {
	r := testRing()
	r.put([]byte("discarded"), recordDiscarded)
	r.put([]byte("whole"), 0)
	r.put([]byte("gone"), recordDiscarded)
	got, ok, err := r.read(nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "whole", string(got))
	_, ok, err = r.read(nil)
	require.NoError(t, err)
	require.False(t, ok)
	require.Zero(t, r.waiting(), "the room of discarded records is given back, too")
}

func TestReaderWaitsForARecordThatIsBeingWritten(t *testing.T) {
	r := testRing()
	r.put([]byte("later"), recordBusy)
	read := make(chan string)
	go func() {
		got, _, _ := r.read(nil)
		read <- string(got)
	}()
	select {
	case got := <-read:
		t.Fatalf("%q was read while it was being written", got)
	default:
	}
	head := (*uint32)(unsafe.Pointer(&r.data[0]))
	atomic.StoreUint32(head, uint32(len("later")))
	require.Equal(t, "later", <-read)
}

func TestACorruptRingEndsReading(t *testing.T) {
	for name, corrupt := range map[string]func(r *ring){
		"a record longer than what was produced": func(r *ring) { binary.NativeEndian.PutUint32(r.data, 60) },
		"the longest length":                     func(r *ring) { binary.NativeEndian.PutUint32(r.data, 1<<30-1) },
		"more produced than there is room for":   func(r *ring) { *r.produced = 1 << 20 },
		"a producer behind the reader":           func(r *ring) { *r.consumed = 1 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			r := testRing()
			r.put([]byte("record"), 0)
			corrupt(r)
			_, ok, err := r.read(nil)
			require.ErrorIs(t, err, errRingCorrupt)
			require.False(t, ok)
		})
	}
}

func TestReadingRecordsDoesNotAllocate(t *testing.T) {
	r := testRing()
	buf := make([]byte, 0, 64)
	record := []byte("twenty bytes of data")
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		r.put(record, 0)
		buf, _, _ = r.read(buf)
	}))
}
