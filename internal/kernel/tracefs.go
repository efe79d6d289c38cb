//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// perfLink is a program on a perf event: it lasts as long as both descriptors. Without a Link the program is the event's own.
type perfLink struct {
	link.Link
	event int
}

func (l *perfLink) Close() error {
	var err error
	if l.Link != nil {
		err = l.Link.Close()
	}
	return errors.Join(err, unix.Close(l.event))
}

// attachTracepoint attaches a program to a tracepoint, by its name below the events directory.
func attachTracepoint(dir int, name string, program *ebpf.Program) (link.Link, error) {
	fd, err := openTracepoint(dir, name)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("%w: %w", errAbsent, err)
	}
	if err != nil {
		return nil, err
	}
	l, err := attachPerf(fd, name, program)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return l, nil
}

// attachPerf attaches a program to an event of perf. Before Linux 5.15 there are no links of that kind: then it is attached
// by ioctl, and detached with the event.
func attachPerf(fd int, name string, program *ebpf.Program) (link.Link, error) {
	attached := &perfLink{event: fd}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: program, Attach: ebpf.AttachPerfEvent})
	if err == nil {
		attached.Link = l
	} else if ioctlErr := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program.FD()); ioctlErr != nil {
		return nil, fmt.Errorf("attach to the tracepoint %s: %w", name, errors.Join(err, ioctlErr))
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		if attached.Link != nil {
			err = errors.Join(err, attached.Link.Close())
		}
		return nil, fmt.Errorf("enable the tracepoint %s: %w", name, err)
	}
	return attached, nil
}

// openTracefs opens the events directory of tracefs: where it is mounted, or in a mount of our own that is attached
// nowhere, so that no other process sees it (fsopen(2); needs CAP_SYS_ADMIN).
func openTracefs() (int, error) {
	var errs []error
	for _, path := range [...]string{"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"} {
		fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		errs = append(errs, &os.PathError{Op: "open", Path: path, Err: err})
	}
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("open tracefs: %w", err))...)
	}
	defer unix.Close(fs) //nolint:errcheck // a context, of no use any more
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("create tracefs: %w", err))...)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("mount tracefs: %w", err))...)
	}
	defer unix.Close(root) //nolint:errcheck // held by what is opened below it
	dir, err := unix.Openat(root, "events", unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("open tracefs: %w", err))...)
	}
	return dir, nil
}

// readTracefs reads a file below the events directory.
func readTracefs(dir int, name string) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open tracepoint", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close() //nolint:errcheck // read only
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read tracepoint %s: %w", name, err)
	}
	return content, nil
}

func openTracepoint(dir int, name string) (int, error) {
	digits, err := readTracefs(dir, name+"/id")
	if err != nil {
		return -1, err
	}
	id, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 10, 64)
	if err != nil {
		return -1, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	attr := unix.PerfEventAttr{
		Type:        unix.PERF_TYPE_TRACEPOINT,
		Config:      id,
		Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Sample_type: unix.PERF_SAMPLE_RAW,
		Sample:      1,
		Wakeup:      1,
	}
	// A program on a tracepoint runs on every CPU, whichever one the event is opened on.
	event, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open a perf event for tracepoint %s: %w", name, err)
	}
	return event, nil
}
