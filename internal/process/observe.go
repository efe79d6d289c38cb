package process

import (
	"bytes"
	"errors"

	"github.com/socketflow/socketflow/internal/procfs"
)

// errChanged means that the process executed another program, or its pid was reused, while it was read.
var errChanged = errors.New("process changed while it was read")

// observation is what the BPF program or one reading of /proc gives of a process.
type observation struct {
	comm       string
	executable string // clean
	cut        bool   // executable is the end of a longer path
	argv0      string
	args       []string
	argsCut    bool // there is more than args
	uid        UID
	environ    environment
	cgroups    []string
}

// orElse fills what o lacks from other, an observation of the same process and program.
func (o observation) orElse(other observation) observation {
	if o.comm == "" {
		o.comm = other.comm
	}
	if o.executable == "" {
		o.executable, o.cut = other.executable, other.cut
	}
	if len(o.args) == 0 {
		o.args, o.argsCut = other.args, other.argsCut
	}
	if o.argv0 == "" {
		o.argv0 = other.argv0
	}
	if !o.uid.known {
		o.uid = other.uid
	}
	o.environ = o.environ.orElse(other.environ)
	return o
}

// observe reads /proc/<pid> of a process through one handle, which never shows another process with the same pid. It compares
// the start time and the executable before and after: an exec changes everything except the start time.
//
// The content of an observation is always of one process and one program, even if there is an error for other parts. If
// observe notices a change, the observation is empty.
func (r *Reader) observe(id ID) (o observation, err error) {
	h, err := procfs.Open(r.procRoot, id.PID)
	if err != nil {
		return o, err
	}
	defer func() {
		if closing := h.Close(); closing != nil {
			err = errors.Join(err, closing)
		}
	}()
	return r.observeBy(h, id.Start)
}

func (r *Reader) observeBy(h procfs.Handle, start uint64) (o observation, err error) {
	before, err := h.Stat()
	if err != nil {
		return o, err
	}
	if before.Start != start {
		return o, errChanged
	}
	executable, err := readExecutable(h)
	o.comm, o.executable = text(before.Comm, maxComm), executable
	err = errors.Join(err, r.readDetails(h, &o))

	// No executable now but one before means that the process has ended: a zombie has none.
	now, again := readExecutable(h)
	if now != "" && now != executable {
		return observation{}, errChanged
	}
	after, ended := h.Stat()
	if ended == nil && after.Start != start {
		return observation{}, errChanged
	}
	return o, errors.Join(err, again, ended)
}

func readExecutable(h procfs.Handle) (string, error) {
	link, err := h.Executable()
	return cleanExecutable(link), err
}

// readDetails fills o with the files that are read once. What cannot be read stays empty, and is in the error.
func (r *Reader) readDetails(h procfs.Handle, o *observation) error {
	scratch := r.scratch.Get().(*[maxEnvironBytes + 1]byte)
	defer r.scratch.Put(scratch)
	return errors.Join(
		h.Read("cmdline", maxArgBytes, scratch[:], func(block []byte, cut bool) { r.readArgs(o, block, cut) }),
		h.Read("status", maxStatusBytes, scratch[:], func(file []byte, _ bool) {
			if uid, ok := procfs.UID(file); ok {
				o.uid = UserID(uid)
			}
		}),
		h.Read("environ", maxEnvironBytes, scratch[:], func(block []byte, cut bool) {
			o.environ = parseEnviron(block, cut)
		}),
		h.Read("cgroup", maxCgroupBytes, scratch[:], func(file []byte, cut bool) {
			if cut {
				file = file[:bytes.LastIndexByte(file, '\n')+1]
			}
			o.cgroups = procfs.CgroupPaths(string(file))
		}))
}

func (r *Reader) readArgs(o *observation, block []byte, cut bool) {
	argv0, _, _ := bytes.Cut(block[:min(len(block), maxPath)], []byte{0})
	o.argv0 = text(string(argv0), maxPath)
	if !r.omitCommandLine {
		o.args, o.argsCut = parseArgs(block)
		o.argsCut = o.argsCut || cut
	}
}

// parseArgs splits an argument block. The title of a process that has overwritten its arguments is one argument, padded with
// NULs. cut: there are more of them.
func parseArgs(block []byte) (args []string, cut bool) {
	cut = len(bytes.TrimRight(block, "\x00")) > maxArgBytes
	block = bytes.TrimRight(block[:min(len(block), maxArgBytes)], "\x00")
	for len(block) > 0 && len(args) < maxArgs {
		arg, rest, _ := bytes.Cut(block, []byte{0})
		args = append(args, text(string(arg), maxArgBytes))
		block = rest
	}
	return args, cut || len(block) > 0
}
