package recording

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/trace"
)

// ended is a recording that has ended while shards go on.
func ended(t *testing.T, with Options, items ...Item) (*Writer, *Reader) {
	t.Helper()
	var to bytes.Buffer
	w, err := NewWriter(&to, with)
	require.NoError(t, err)
	require.NoError(t, w.Start(Start{Seeds: []trace.Seed{{1, 2}}}))
	for _, i := range items {
		w.Write(i)
	}
	w.Lack(Losses{Dropped: 7, Unhandled: true})
	require.NoError(t, w.Close())
	size := to.Len()
	w.Write(Item{Event: dataEvent("late")})
	require.Equal(t, size, to.Len())
	r, err := NewReader(&to)
	require.NoError(t, err)
	return w, r
}

func TestARecordingEndsWithWhatItHasAndLacks(t *testing.T) {
	_, r := ended(t, Options{Payload: PayloadAll, Bytes: MaxBytes}, Item{Event: dataEvent("abc")}, Item{Reached: 3})
	for range 2 {
		assert.Nil(t, r.Totals())
		_, err := r.Next()
		require.NoError(t, err)
	}
	_, err := r.Next()
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, &Totals{Stats{Events: 1, PayloadBytes: 3}, Losses{Dropped: 7, Unhandled: true}}, r.Totals())
}

func TestAFullRecordingHasRoomForItsLastLine(t *testing.T) {
	w, r := ended(t, Options{Payload: PayloadAll, Bytes: 400}, Item{Event: dataEvent(strings.Repeat("x", 1000))}, Item{Reached: 3})
	_, err := r.Next()
	require.ErrorIs(t, err, io.EOF)
	require.NotNil(t, r.Totals())
	assert.EqualValues(t, 2, r.Totals().LeftOut)
	assert.EqualValues(t, 2, w.Totals().LeftOut, "what comes late is not beyond the limit")
}

func TestWithoutABeginningThereIsNoRecording(t *testing.T) {
	var to bytes.Buffer
	w, err := NewWriter(&to, Options{Bytes: MaxBytes})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.False(t, w.Begun())
	_, err = NewReader(&to)
	assert.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, io.EOF), "%v", err)
}
