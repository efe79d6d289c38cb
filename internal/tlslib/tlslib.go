// Package tlslib finds where probes see the plaintext of TLS in an executable or a shared object.
//
// A function is only probed if all its exits are known: return probes that take over return addresses are not used
// anywhere, because they end programs that return on another thread.
package tlslib

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// Kind is a family of TLS libraries, whose calls have the same arguments.
type Kind uint8

// The families.
const (
	OpenSSL   Kind = iota + 1 // 1.1 and 3, and what has the same functions (LibreSSL)
	BoringSSL                 // and AWS-LC
	Go                        // crypto/tls
	GnuTLS
)

var kindNames = map[Kind]string{OpenSSL: "OpenSSL", BoringSSL: "BoringSSL", Go: "Go crypto/tls", GnuTLS: "GnuTLS"}

func (k Kind) String() string { return kindNames[k] }

// Call is a function of a library, by what its arguments mean.
type Call uint8

// The calls. Arguments are in the registers of the platform's calling convention; those of Go, in Go's.
const (
	SSLRead          Call = iota + 1 // int SSL_read(ssl, buf, int num): > 0 is a number of bytes
	SSLReadEx                        // int SSL_read_ex(ssl, buf, num, size_t *read): 1 is success
	SSLWrite                         // int SSL_write(ssl, buf, int num)
	SSLWriteEx                       // int SSL_write_ex(ssl, buf, num, size_t *written)
	SSLSendfile                      // ssize_t SSL_sendfile(ssl, int fd, off_t, size_t, int flags): the kernel encrypts what is in a file
	BIOSSLWrite                      // int ssl_write(bio, buf, num, size_t *written), of BIO_f_ssl: 1 is success
	BIOWrite                         // int BIO_write(bio, buf, int num); only entered
	SSLSetBIO                        // void SSL_set_bio(ssl, rbio, wbio); only entered
	SSLSet0WBIO                      // void SSL_set0_wbio(ssl, wbio); only entered
	GoRead                           // func (c *Conn) Read(b []byte) (int, error)
	GoWrite                          // func (c *Conn) Write(b []byte) (int, error); only entered
	GoConnWrite                      // func (c *Conn) write(data []byte) (int, error), with ciphertext; only entered
	GnuTLSRecv                       // ssize_t gnutls_record_recv(session, data, size): > 0 is a number of bytes
	GnuTLSRecvSeq                    // ssize_t gnutls_record_recv_seq(session, data, size, seq)
	GnuTLSSend                       // ssize_t gnutls_record_send(session, data, size)
	GnuTLSSend2                      // ssize_t gnutls_record_send2(session, data, size, pad, flags)
	GnuTLSSendRange                  // ssize_t gnutls_record_send_range(session, data, size, range)
	GnuTLSUncork                     // int gnutls_record_uncork(session, flags), which calls gnutls_record_send once more
	GnuTLSPush                       // a call of ssize_t push(transport, data, size), with ciphertext; only entered
	GnuTLSPushVector                 // a call of ssize_t push(transport, iovec, n), with ciphertext; only entered
)

// Place says what a probe sees.
type Place uint8

// The places.
const (
	Enter Place = iota + 1 // all arguments are in their registers
	Exit                   // the result is in its register
)

// Probe is an instruction at which a call begins or ends.
//
// Enter is hit once a call. Exit is hit when a call ends, but a function that ends by a jump to another one shares the exits of
// that, which is also called by others: a frame belongs to an exit if the stack pointer plus Depth is the same for both.
type Probe struct {
	Call   Call
	Place  Place
	Offset uint64 // of the instruction in the file, in bytes
	// Depth is how far the stack pointer lies below its value at the first instruction of the function, in bytes.
	Depth uint32
	// Result is how far the result lies below that value of the stack pointer, in bytes; 0: it is in its register.
	Result uint32
	// Moved: at an Enter, the fourth argument is in the register of the fifth.
	Moved bool
	// GoesOn: at an Exit, a call that has failed may come by another Exit of it with another result. Of Go's: the instruction is a jump (if below, or
	// equal), and a call for which it is taken comes by once more.
	GoesOn bool
	// Push is where the arguments of GnuTLSPush and GnuTLSPushVector are.
	Push Push
	// Kept is where the call's arguments are at an Exit.
	Kept Kept
}

// Kept says where a call still has its arguments when it ends, so that its beginning need not have been seen. Those of a call of C are in general
// registers, by their numbers in the machine's instructions. Those of Go's, receiver and the slice's pointer, are 8 and 16 bytes above the stack
// pointer's value at the first instruction of the function.
type Kept struct {
	Known  bool
	Object uint8
	Bytes  uint8 // their address
	Count  uint8 // where the number of bytes goes; 0: it is the result
	Zero   uint8 // unless this is zero, the call is another function's; 0: there is no other
	Type   uint8 // of GnuTLS: unless this is 23, what was received is not application data
}

// Push says in which general registers something is, by their numbers in the machine's instructions.
type Push struct {
	Session      uint8
	Bytes        uint8 // the address of the bytes, or of the first vector, less Displacement
	Count        uint8 // how many bytes there are; of a vector: 0
	Displacement int16
}

// Library is what a file has of TLS.
type Library struct {
	Kind    Kind
	Version string // as found: "3.5.4", "go1.26.1"; of a shared libssl that of its name, "3"; "" if not known
	// BuildID is the one that the linker wrote, or else Go's; "" if there is none. Containers that share a layer see one file under
	// several device numbers, but with one inode number and BuildID. A probe of one of them is a probe of all.
	BuildID string
	Probes  []Probe
}

// ErrNoTLS means that the file has none of the functions, or is not an ELF file of amd64 or arm64.
var ErrNoTLS = errors.New("no TLS library")

// maxProbes of one file. The largest known number is 17.
const maxProbes = 512

// maxDistance bounds Depth and Result.
const maxDistance = 1<<24 - 1

var (
	errTooManyProbes = errors.New("there are too many exits")
	errTooDeep       = errors.New("the frame of a function is too large")
)

// Find says which TLS library a file has and where its probes are. The error is ErrNoTLS if it has none. Any other error says
// why the library is refused; then the Library says which one it is, and has no probes, or is nil if that is not known either.
//
// Of a file that has several libraries, Go's is found, else OpenSSL or BoringSSL. Shared libraries come in parts: the libssl of
// OpenSSL has no BIO_write, and its libcrypto nothing else.
//
// The content may be hostile. Find reads at most 256 MiB, and holds less than 2 MiB. It returns an error if it would need more.
func Find(r io.ReaderAt, size int64) (*Library, error) {
	im, err := openImage(newFile(r, size))
	if err != nil {
		return nil, err
	}
	lib, err := findGo(im)
	if errors.Is(err, ErrNoTLS) {
		lib, err = findC(im)
	}
	if lib != nil {
		lib.BuildID = im.buildID()
	}
	if err != nil && !errors.Is(err, ErrNoTLS) {
		if lib == nil {
			return nil, err
		}
		lib.Probes = nil
		return lib, fmt.Errorf("%s: %w", lib.Kind, err)
	}
	return lib, err
}

// addProbes adds those of one call: where it is entered, and then where it is left.
func (im *image) addProbes(lib *Library, call Call, places []place) error {
	if len(lib.Probes)+len(places) > maxProbes {
		return errTooManyProbes
	}
	for i, p := range places {
		if p.depth > maxDistance {
			return errTooDeep
		}
		off, _, err := im.offset(p.at, elf.PF_X)
		if err != nil {
			return err
		}
		probe := Probe{Call: call, Place: Exit, Offset: off, Depth: p.depth, Result: p.result, Moved: p.moved, GoesOn: p.goesOn, Kept: p.kept}
		if i == 0 {
			probe.Place = Enter
		}
		lib.Probes = append(lib.Probes, probe)
	}
	return nil
}
