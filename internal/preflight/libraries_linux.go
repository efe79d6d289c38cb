//go:build amd64 || arm64

package preflight

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/tlslib"
)

const (
	notRead   = "libraries of this kind are not looked into"
	noSymbols = "it is linked in, and its functions have no symbols"
	noFile    = "its code has no file"
)

// namedLibraries are TLS libraries that are known by the names of files, and why requests in them are not seen.
var namedLibraries = []struct{ pattern, library, why string }{
	{"libjvm.so", "JSSE", noFile},
	{"beam.smp", "Erlang ssl", noFile},
	{"libssl3.so", "NSS", notRead},
	{"libwolfssl.so*", "wolfSSL", notRead},
	{"libmbedtls.so*", "Mbed TLS", notRead},
	{"libs2n.so*", "s2n-tls", notRead},
	{"librustls*.so*", "rustls", notRead},
}

// without is why a library is not seen that is linked in.
var without = map[string]string{"rustls": notRead, "s2n-tls": notRead, "Mbed TLS": notRead}

// programFile is a file of which a program has mapped code.
type programFile struct {
	path string
	open func() (*os.File, error)
}

// finding is what a file has of TLS.
type finding struct {
	library, version, why string
	part                  bool // what programs call is in another file
}

// survey finds the TLS libraries of programs. It looks at each file once.
type survey struct{ looked, read map[fileID]finding }

func newSurvey() *survey {
	return &survey{looked: map[fileID]finding{}, read: map[fileID]finding{}}
}

type fileID struct {
	device, inode uint64
	size          int64
}

// of are the libraries of a program, by the files that it has mapped.
func (s *survey) of(executable string, files []programFile) (all []TLSLibrary) {
	add := func(file string, f finding) {
		l := TLSLibrary{Executable: executable, Library: f.library, Version: f.version, Covered: f.why == "", Why: f.why}
		if file != executable {
			l.File = file
		}
		all = append(all, l)
	}
	var part finding
	var own *programFile
	for i := range files {
		found := s.look(&files[i])
		switch {
		case found.part:
			part = found
		case found.library != "":
			add(files[i].path, found)
		case files[i].path == executable:
			own = &files[i]
		}
	}
	for i := range all { // the other part of OpenSSL has its whole version
		if l := &all[i]; l.Library == part.library && strings.HasPrefix(part.version, l.Version) {
			l.Version = part.version
		}
	}
	// With OpenSSL beside it, what the executable says is about the library that it was built with.
	openSSL := part.library != "" || slices.ContainsFunc(all, func(l TLSLibrary) bool { return l.Library == tlslib.OpenSSL.String() })
	if own != nil && !openSSL {
		if found := own.once(s.read, linkedIn); found.library != "" {
			add(executable, found)
		}
	}
	return all
}

// look says what a file has.
func (s *survey) look(f *programFile) finding {
	name := filepath.Base(f.path)
	for _, b := range namedLibraries {
		if is, _ := filepath.Match(b.pattern, name); is {
			return finding{library: b.library, why: b.why}
		}
	}
	return f.once(s.looked, probed)
}

// once is what a function finds in the file, unless that is known.
func (f *programFile) once(known map[fileID]finding, find func(file *os.File, size int64) finding) finding {
	file, err := f.open()
	if err != nil {
		return finding{}
	}
	defer file.Close() //nolint:errcheck // it was only read
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) != nil {
		return finding{}
	}
	id := fileID{stat.Dev, stat.Ino, stat.Size}
	found, ok := known[id]
	if !ok {
		found = find(file, stat.Size)
		known[id] = found
	}
	return found
}

// probed is the library of a file that the receiver would look into, or refuse.
func probed(file *os.File, size int64) finding {
	lib, err := tlslib.Find(file, size)
	if errors.Is(err, tlslib.ErrNoTLS) || lib == nil {
		return finding{}
	}
	found := finding{library: lib.Kind.String(), version: lib.Version}
	if err != nil {
		found.why = err.Error()
		return found
	}
	found.part = !slices.ContainsFunc(lib.Probes, func(p tlslib.Probe) bool { return p.Place == tlslib.Exit })
	return found
}

// linkedIn is a library of a program that the receiver does not find.
func linkedIn(file *os.File, size int64) finding {
	library, version, err := tlslib.Foreign(file, size)
	if err != nil || library == "" {
		return finding{}
	}
	why := without[library]
	if why == "" {
		why = noSymbols
	}
	return finding{library: library, version: version, why: why}
}
