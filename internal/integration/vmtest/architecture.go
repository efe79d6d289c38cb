package main

// architecture holds the differences between the machines.
type architecture struct {
	name    string   // the name in Go, Debian and .ci/kernels
	qemu    string   // emulator
	machine []string // its arguments, in addition to those of all machines
	console string   // the kernel's name of the first serial port
	output  string   // the guest's name of the channel for the output of tests
	options string   // kernel command line
}

// tools is the name in .ci/kernels of the programs for it.
func (a *architecture) tools() string { return "tools-" + a.name }

// outputChannel is QEMU's name of the file with the output of tests.
const outputChannel = "tests"

var amd64 = &architecture{
	name: "amd64",
	qemu: "qemu-system-x86_64",
	// The first serial port is that of -serial.
	machine: []string{"-device", "isa-serial,index=1,chardev=" + outputChannel},
	console: "ttyS0",
	output:  "/dev/ttyS1",
	// With page table isolation each system call would empty the emulated TLB; what else costs time is of no use here.
	options: "mitigations=off init_on_alloc=0",
}

var arm64 = &architecture{
	name: "arm64",
	qemu: "qemu-system-aarch64",
	// This machine has only one serial port of its own. Debian's kernels have the driver for those on PCI built in.
	machine: []string{"-machine", "virt,gic-version=3", "-device", "pci-serial,chardev=" + outputChannel},
	console: "ttyAMA0",
	output:  "/dev/ttyS0",
	options: "kpti=off init_on_alloc=0",
}
