package tlslib

import (
	"bytes"
	"debug/elf"
	"io"
	"regexp"
)

// foreign are texts that programs have of the libraries that are linked in: of their versions, and of files of their source.
var foreign = []struct {
	name string
	stem []byte
	form *regexp.Regexp // with the version, if the text has one
}{
	{"rustls", []byte("/rustls-"), regexp.MustCompile(`^/rustls-(\d+\.\d+\.\d+)[^/]{0,16}/`)},
	{"OpenSSL", []byte("OpenSSL "), regexp.MustCompile(`^OpenSSL (\d\.\d\.\d+[a-z]?) +\d+ [A-Z][a-z]{2} \d{4}`)},
	{"BoringSSL", []byte("(compatible; BoringSSL)"), nil},
	{"BoringSSL", []byte("third_party/boringssl/"), nil},
	{"AWS-LC", []byte("(compatible; AWS-LC"), nil},
	{"s2n-tls", []byte("s2n_negotiate"), nil},
	{"Mbed TLS", []byte("mbed TLS "), regexp.MustCompile(`^mbed TLS (\d+\.\d+\.\d+)\x00`)},
	{"Mbed TLS", []byte("Mbed TLS "), regexp.MustCompile(`^Mbed TLS (\d+\.\d+\.\d+)\x00`)},
}

// Foreign says which TLS library a program has that Find does not find: it is stripped, or of a kind that has no functions to probe. A program
// may have such texts also of a library that it was built with, and does not use. The name is "" if there is none.
func Foreign(r io.ReaderAt, size int64) (name, version string, err error) {
	im, err := openImage(newFile(r, size))
	if err != nil {
		return "", "", err
	}
	const longest = 64
	for i := range im.segments {
		s := &im.segments[i]
		if s.kind != elf.PT_LOAD || s.flags&elf.PF_W != 0 || s.off >= im.size || name != "" {
			continue
		}
		err := im.scan(s.off, min(s.fileSize, im.size-s.off), longest, func(_ uint64, b []byte) bool {
			name, version = foreignIn(b)
			return name == ""
		})
		if err != nil {
			return "", "", err
		}
	}
	return name, version, nil
}

func foreignIn(b []byte) (name, version string) {
	for _, f := range foreign {
		for at := 0; ; at += len(f.stem) {
			next := bytes.Index(b[at:], f.stem)
			if next < 0 {
				break
			}
			at += next
			if f.form == nil {
				return f.name, ""
			}
			if m := f.form.FindSubmatch(b[at:min(len(b), at+64)]); m != nil {
				return f.name, string(m[1])
			}
		}
	}
	return "", ""
}
