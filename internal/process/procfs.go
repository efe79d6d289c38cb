package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// errChanged says that the process executed another program, or its pid passed to another process, while it was read.
var errChanged = errors.New("process changed while it was read")

// observation is what one look at a process gives, by the kernel program or by way of /proc.
type observation struct {
	comm       string
	executable string // clean
	args       []string
	environ    environment
	cgroups    []string
}

// orElse fills what o lacks from other, which is of the same process running the same program.
func (o observation) orElse(other observation) observation {
	if o.comm == "" {
		o.comm = other.comm
	}
	if o.executable == "" {
		o.executable = other.executable
	}
	if len(o.args) == 0 {
		o.args = other.args
	}
	o.environ = o.environ.orElse(other.environ)
	return o
}

// observe reads /proc/<pid> of a process. All files are opened relative to one handle of the directory, which belongs to
// the process and not to its pid: once the process is gone the kernel finds nothing in it, even if the pid is in use again
// (fs/proc/base.c, get_proc_task of the inode's struct pid). Start time and executable are compared before and after all
// the same, the executable because an exec changes everything else but not the start time.
//
// What an observation has is of that one process and program, whatever the error says of the rest; of a mixture it has
// nothing.
func (r *Reader) observe(id ID) (o observation, err error) {
	dir, err := os.OpenRoot(r.dir(id.PID))
	if err != nil {
		return o, err
	}
	defer func() {
		if closing := dir.Close(); closing != nil {
			err = errors.Join(err, closing)
		}
	}()
	return r.observeIn(dir, id.Start)
}

func (r *Reader) observeIn(dir *os.Root, start uint64) (o observation, err error) {
	comm, startBefore, err := statIn(dir)
	if err != nil {
		return o, err
	}
	if startBefore != start {
		return o, errChanged
	}
	executable, err := readExecutable(dir)
	o.comm, o.executable = comm, executable
	err = errors.Join(err, r.readDetails(dir, &o))

	// None now and one before is no exec but an end: a zombie has no executable.
	after, again := readExecutable(dir)
	if after != "" && after != executable {
		return observation{}, errChanged
	}
	_, startAfter, ended := statIn(dir)
	if ended == nil && startAfter != start {
		return observation{}, errChanged
	}
	return o, errors.Join(err, again, ended)
}

// readDetails fills what is read once. What cannot be read stays empty and is an error.
func (r *Reader) readDetails(dir *os.Root, o *observation) error {
	var errs []error
	if !r.omitCommandLine {
		errs = append(errs, r.read(dir, "cmdline", maxArgBytes, func(block []byte, _ bool) {
			o.args = parseArgs(block)
		}))
	}
	errs = append(errs,
		r.read(dir, "environ", maxEnvironBytes, func(block []byte, cut bool) {
			o.environ = parseEnviron(block, cut)
		}),
		r.read(dir, "cgroup", maxCgroupBytes, func(file []byte, cut bool) {
			if cut {
				file = file[:bytes.LastIndexByte(file, '\n')+1]
			}
			o.cgroups = cgroupPaths(string(file))
		}))
	return errors.Join(errs...)
}

// read passes at most limit bytes of a file to use, which must copy what it keeps: the memory is cleared after it,
// because nothing else of an environment may stay behind in it.
func (r *Reader) read(dir *os.Root, file string, limit int, use func(data []byte, cut bool)) error {
	f, err := dir.Open(file)
	if isMissing(err) {
		// Not every kernel has every file, and of a kernel thread some cannot be opened. Whether it is the process
		// that is missing is for stat to say.
		return nil
	}
	if err != nil {
		return err
	}
	scratch := r.scratch.Get().(*[maxEnvironBytes + 1]byte)
	// One byte beyond the limit tells a file that ends there from one that is cut.
	n, err := io.ReadFull(f, scratch[:limit+1])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isMissing(err) {
		err = nil
	}
	if err == nil {
		use(scratch[:min(n, limit)], n > limit)
	}
	clear(scratch[:n])
	r.scratch.Put(scratch)
	return errors.Join(err, f.Close())
}

// statIn reads comm and start time. Both are in one file, which anybody may read.
func statIn(dir *os.Root) (comm string, start uint64, err error) {
	f, err := dir.Open("stat")
	if err != nil {
		return "", 0, err
	}
	var line [1024]byte // 52 numbers and a comm; the longest possible is under 1 KiB up to the start time
	n, err := f.ReadAt(line[:], 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", 0, err
	}
	return parseStat(line[:n])
}

// parseStat reads "pid (comm) state ppid …" (proc_pid_stat(5)). A comm is any bytes, parentheses and spaces among them;
// nothing after it has a parenthesis, so the last one ends it.
func parseStat(line []byte) (comm string, start uint64, err error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return "", 0, errors.New("stat has no comm")
	}
	const startTime = 22 - 3 // of the fields from the third on
	rest := line[end+1:]
	for range startTime {
		rest = bytes.TrimLeft(rest, " ")
		i := bytes.IndexByte(rest, ' ')
		if i < 0 {
			return "", 0, errors.New("stat has no start time")
		}
		rest = rest[i:]
	}
	field, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte{' '})
	start, err = strconv.ParseUint(string(bytes.TrimSpace(field)), 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("start time in stat: %w", err)
	}
	return text(string(line[open+1:end]), maxComm), start, nil
}

// readExecutable reads the link. A kernel thread and a process that is ending have none, which is not an error.
func readExecutable(dir *os.Root) (string, error) {
	link, err := dir.Readlink("exe")
	if isMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return cleanExecutable(link), nil
}

// parseArgs splits an argument block. A process that has overwritten its arguments with a title shows that as one
// argument, filled up with NULs.
func parseArgs(block []byte) []string {
	block = bytes.TrimRight(block[:min(len(block), maxArgBytes)], "\x00")
	var args []string
	for len(block) > 0 && len(args) < maxArgs {
		arg, rest, _ := bytes.Cut(block, []byte{0})
		args = append(args, text(string(arg), maxArgBytes))
		block = rest
	}
	return args
}

func (r *Reader) dir(pid uint32) string {
	return filepath.Join(r.procRoot, strconv.FormatUint(uint64(pid), 10))
}

// isMissing reports whether a process or a file of it is not there: ENOENT when it is opened, ESRCH when its process has
// ended since, or has no memory of its own to show. Under hidepid (proc(5)) another user's process is not there either;
// for who asks it is the same.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
