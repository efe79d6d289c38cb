package procfs

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// runCopy runs a copy of cat, which waits for its input until the test ends. It returns the path of the copy and what is mapped of it.
func runCopy(t *testing.T) (copied string, pid uint32, mapped MappedFile) {
	t.Helper()
	original, err := exec.LookPath("cat")
	require.NoError(t, err)
	content, err := os.ReadFile(original)
	require.NoError(t, err)
	copied = filepath.Join(t.TempDir(), "copy of cat")
	require.NoError(t, os.WriteFile(copied, content, 0o700))

	cmd := exec.Command(copied)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, in.Close())
		assert.NoError(t, cmd.Wait())
	})
	_, err = in.Write([]byte{1}) // what it echoes shows that the dynamic linker is done
	require.NoError(t, err)
	_, err = io.ReadFull(out, make([]byte, 1))
	require.NoError(t, err)

	pid = uint32(cmd.Process.Pid)
	files, cut, err := MappedFiles(pid)
	require.NoError(t, err)
	require.False(t, cut)
	i := slices.IndexFunc(files, func(m MappedFile) bool { return m.Path == copied })
	require.NotEqual(t, -1, i, "%+v", files)
	assert.Greater(t, len(files), 1, "there are libraries, too")
	return copied, pid, files[i]
}

func fileInode(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var stat unix.Stat_t
	require.NoError(t, unix.Fstat(int(f.Fd()), &stat))
	return stat.Ino
}

func TestAMappedFileIsOpenedAlsoIfItWasReplaced(t *testing.T) {
	copied, pid, mapped := runCopy(t)
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"as it is", func() error { return nil }},
		{"replaced", func() error {
			other := copied + ".new"
			if err := os.WriteFile(other, []byte("other"), 0o700); err != nil {
				return err
			}
			return os.Rename(other, copied)
		}},
		{"unlinked", func() error { return os.Remove(copied) }},
	} {
		require.NoError(t, change.do())
		f, err := mapped.Open(pid)
		require.NoError(t, err, change.name)
		assert.Equal(t, mapped.Inode, fileInode(t, f), change.name)
		require.NoError(t, f.Close())
	}
}

func TestAPathOfAMappedFileHasToLeadToTheSameInode(t *testing.T) {
	copied, pid, mapped := runCopy(t)
	dir, err := unix.Open(path(mountPoint, pid, ""), unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer func() { assert.NoError(t, unix.Close(dir)) }()

	f, err := mapped.openBelow(dir, "root")
	require.NoError(t, err)
	assert.Equal(t, mapped.Inode, fileInode(t, f))
	require.NoError(t, f.Close())

	require.NoError(t, os.Rename(copied, copied+".old"))
	_, err = mapped.openBelow(dir, "root")
	assert.ErrorIs(t, err, ErrReplaced, "nothing has the path")
	require.NoError(t, unix.Mkfifo(copied, 0o600))
	_, err = mapped.openBelow(dir, "root")
	assert.ErrorIs(t, err, ErrReplaced, "a fifo has it, and opening that would block")
	require.NoError(t, os.Remove(copied))
	require.NoError(t, os.Symlink(copied+".old", copied))
	f, err = mapped.openBelow(dir, "root")
	require.NoError(t, err, "a link to the file has it")
	require.NoError(t, f.Close())
}

func TestMappedFilesOfAnEndedProcessAreGone(t *testing.T) {
	cmd := exec.Command("true")
	require.NoError(t, cmd.Run())
	_, _, err := MappedFiles(uint32(cmd.Process.Pid))
	assert.ErrorIs(t, err, ErrGone)
	_, err = (&MappedFile{Start: 1, End: 2, Path: "/a"}).Open(uint32(cmd.Process.Pid))
	assert.ErrorIs(t, err, ErrGone)
	_, err = (&MappedFile{Start: 1, End: 2, Path: "/a"}).Open(self())
	assert.ErrorIs(t, err, ErrGone, "the mapping")
}
