package recording

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/process"
)

const firstLine = `{"Format":1,"Seeds":[[1,2]]}` + "\n"

// described is a line for each of so many processes, with as much text as one may have, all of it different.
func described(processes int) string {
	var lines strings.Builder
	lines.WriteString(firstLine)
	for i := range processes {
		fmt.Fprintf(&lines, `{"Process":{"PID":%d,"Executable":"%d%s"}}`+"\n", i, i, strings.Repeat("x", maxProcessText/2))
	}
	return lines.String()
}

// heap is how much of it is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTheNamesOfARecordingAreBoundedInAll(t *testing.T) {
	const processes, room = 200, 1 << 20
	r, err := NewReader(compressed(t, described(processes)))
	require.NoError(t, err)
	r.texts.left = room
	before := heap()
	var kept []*process.Info
	for {
		i, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		kept = append(kept, i.Process)
	}
	assert.Less(t, heap()-before, int64(3*room), "%d processes are remembered", len(kept))
	assert.Len(t, kept, room/(maxProcessText/2+textBytes))
	assert.EqualValues(t, processes-len(kept), r.LeftOut())
}

func TestTheSameNamesTakeTheirRoomOnce(t *testing.T) {
	const line = `{"Process":{"PID":%d,"Executable":"/x","ResourceAttributes":[{"Key":"k","Value":"v"}]}}` + "\n"
	r, err := NewReader(compressed(t, firstLine+fmt.Sprintf(line, 1)+fmt.Sprintf(line, 2)))
	require.NoError(t, err)
	first, err := r.Next()
	require.NoError(t, err)
	left := r.texts.left
	second, err := r.Next()
	require.NoError(t, err)
	assert.Equal(t, left, r.texts.left)
	assert.Same(t, &first.Process.ResourceAttributes[0], &second.Process.ResourceAttributes[0])
	assert.NotEqual(t, first.Process.PID, second.Process.PID)
}

func TestASocketWithoutRoomForItsNameHasNone(t *testing.T) {
	r, err := NewReader(compressed(t, firstLine+`{"Event":{"Kind":3,"Flow":{"Transport":2,"Unix":{"Local":"/x"}}}}`+"\n"))
	require.NoError(t, err)
	r.texts.left = 0
	i, err := r.Next()
	require.NoError(t, err)
	assert.Empty(t, i.Event.Flow.Unix.Local)
	assert.EqualValues(t, 1, r.LeftOut())
}

// Three bytes of such a list would be forty in memory.
func TestALongListIsRefusedBeforeItIsRead(t *testing.T) {
	lines := firstLine + `{"Process":{"ResourceAttributes":[{}` + strings.Repeat(",{}", maxLine/4) + `]}}` + "\n"
	r, err := NewReader(compressed(t, lines))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = r.Next()
	runtime.ReadMemStats(&after)
	assert.ErrorIs(t, err, ErrDamaged)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

func TestWhatNoProgramRecordsIsRefused(t *testing.T) {
	long := strings.Repeat("x", maxProcessText)
	for name, line := range map[string]string{
		"a process with too much text":  `{"Process":{"Comm":"` + long + `x"}}`,
		"too much in attributes":        `{"Process":{"ResourceAttributes":[{"Key":"k","Value":"` + long + `"}]}}`,
		"too many attributes":           `{"Process":{"ResourceAttributes":[{}` + strings.Repeat(",{}", maxAttributes) + `]}}`,
		"a long name of a Unix socket":  `{"Event":{"Kind":3,"Flow":{"Transport":2,"Unix":{"Remote":"` + long + `"}}}}`,
		"a zone of an address":          `{"Event":{"Kind":3,"Flow":{"Local":"[fe80::1%` + long + `]:80"}}}`,
		"more payload than is captured": `{"Event":{"Kind":10,"Data":{"Length":9000000,"Payload":"` + strings.Repeat("eHh4", maxPayload/3+1) + `"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(compressed(t, firstLine+line+"\n"))
			require.NoError(t, err)
			_, err = r.Next()
			assert.ErrorIs(t, err, ErrDamaged)
		})
	}
	for name, start := range map[string]string{
		"alternatives":     `{"Format":1,"Seeds":[[1,2]],"Rules":[{"Executable":"/{a,b}{a,b}"}]}`,
		"a long host name": `{"Format":1,"Seeds":[[1,2]],"HostName":"` + long + `"}`,
		"a long rule":      `{"Format":1,"Seeds":[[1,2]],"Rules":[{"CgroupPath":"` + long + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewReader(compressed(t, start+"\n"))
			assert.ErrorIs(t, err, ErrDamaged)
		})
	}
}

func TestArgumentsAndEnvironmentsAreNotRead(t *testing.T) {
	r, err := NewReader(compressed(t, firstLine+
		`{"Process":{"PID":1,"CommandLine":["--password=x"]}}`+"\n"+`{"Event":{"Kind":1,"Process":{"PID":1,"Environ":"eHh4","Cgroup":"/x"}}}`+"\n"))
	require.NoError(t, err)
	i, err := r.Next()
	require.NoError(t, err)
	assert.Empty(t, i.Process.CommandLine)
	i, err = r.Next()
	require.NoError(t, err)
	assert.Equal(t, &process.Snapshot{ID: process.ID{PID: 1}}, i.Event.Process)
}

// A recording that is cut within its compressed bytes, as that of a program that was killed.
func TestAFileThatIsCutIsReadAsFarAsItGoes(t *testing.T) {
	var to bytes.Buffer
	zip := gzip.NewWriter(&to)
	_, err := io.WriteString(zip, firstLine+`{"Reached":1}`+"\n")
	require.NoError(t, err)
	require.NoError(t, zip.Flush())
	r, err := NewReader(&to)
	require.NoError(t, err)
	i, err := r.Next()
	require.NoError(t, err)
	assert.EqualValues(t, 1, i.Reached)
	_, err = r.Next()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Nil(t, r.Totals())
}
