//go:build linux

package mappings

import (
	"os"
	"strings"
	"testing"
)

func TestExecutable(t *testing.T) {
	const maps = `55d0c8a00000-55d0c8a28000 r--p 00000000 fd:01 1311 /usr/bin/node
55d0c8a28000-55d0c8b00000 r-xp 00028000 fd:01 1311 /usr/bin/node
7f1000000000-7f1000021000 rw-p 00000000 00:00 0 
7f1000100000-7f1000200000 r-xp 00000000 00:00 0 
7f49280b0000-7f49280c0000 r-xp 00012000 00:2a 77                         /usr/lib/with space/libssl.so.3 (deleted)
7ffe00000000-7ffe00002000 r-xp 00000000 00:00 0                          [vdso]
7f49280c0000-7f49280d0000 rwxp 00000000 zz:01 77                         /broken
short
`
	want := []File{
		{ID: ID{0xfd<<32 | 1, 1311}, Path: "/usr/bin/node", link: "55d0c8a28000-55d0c8b00000"},
		{ID: ID{0x2a, 77}, Path: "/usr/lib/with space/libssl.so.3 (deleted)", link: "7f49280b0000-7f49280c0000"},
	}
	var got []File
	for file, err := range executable(strings.NewReader(maps)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, file)
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOwnExecutableIsOpened(t *testing.T) {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for file, err := range Executable(uint32(os.Getpid())) {
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range []bool{false, true} {
			if broken {
				file.link = ""
			}
			opened, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			info, err := opened.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if os.SameFile(info, self) && broken {
				return
			}
			if err := opened.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Error("this program is not among its own files")
}

func TestFileIsTheSameByPathAndByMapping(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	at, err := At(path)
	if err != nil {
		t.Fatal(err)
	}
	for file := range Executable(uint32(os.Getpid())) {
		if file.Path == path {
			if file.ID != at.ID {
				t.Errorf("%v by its mapping, %v by its path", file.ID, at.ID)
			}
			return
		}
	}
	t.Error("this program is not among its own files")
}

func TestReplacedFileIsNotOpened(t *testing.T) {
	file := File{ID: ID{Inode: 1}, inRoot: "/proc/self/exe"}
	if opened, err := file.Open(); err == nil {
		t.Errorf("opened %s instead", opened.Name())
	}
}
