package testenv

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// LatePage is memory whose content is not there yet: a call that reads it waits. That is userfaultfd(2), for which it needs root.
type LatePage struct {
	Bytes []byte
	t     testing.TB
	fd    int
}

// As in include/uapi/linux/userfaultfd.h.
const (
	uffdAPI              = 0xaa
	uffdioAPI            = 0xc018aa3f
	uffdioRegister       = 0xc020aa00
	uffdioCopy           = 0xc028aa03
	uffdioRegisterAbsent = 1
	uffdMessageBytes     = 32
)

// NewLatePage maps one.
func NewLatePage(t testing.TB) *LatePage {
	t.Helper()
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		t.Fatalf("userfaultfd: %v", errno)
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	p := &LatePage{Bytes: page, t: t, fd: int(fd)}
	t.Cleanup(func() {
		if err := unix.Close(p.fd); err != nil {
			t.Error(err)
		}
		if err := unix.Munmap(page); err != nil {
			t.Error(err)
		}
	})
	p.control(uffdioAPI, uffdAPI)
	p.control(uffdioRegister, p.address(), uint64(len(page)), uffdioRegisterAbsent)
	return p
}

// AwaitReader returns when a call waits for the page.
func (p *LatePage) AwaitReader() {
	p.t.Helper()
	if n, err := unix.Read(p.fd, make([]byte, uffdMessageBytes)); n != uffdMessageBytes || err != nil {
		p.t.Fatalf("wait for a reader of the page: %d bytes, %v", n, err)
	}
}

// Arrive gives the page its content.
func (p *LatePage) Arrive(content string) {
	p.t.Helper()
	page := make([]byte, len(p.Bytes))
	copy(page, content)
	p.control(uffdioCopy, p.address(), uint64(uintptr(unsafe.Pointer(unsafe.SliceData(page)))), uint64(len(page)))
	runtime.KeepAlive(page)
}

func (p *LatePage) address() uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p.Bytes))))
}

// control makes a request. words are the first of its argument; the others are zero, or results.
func (p *LatePage) control(request uintptr, words ...uint64) {
	p.t.Helper()
	var argument [5]uint64
	copy(argument[:], words)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), request, uintptr(unsafe.Pointer(&argument))); errno != 0 {
		p.t.Fatalf("userfaultfd: request %x: %v", request, errno)
	}
}
