package main

// architecture is what differs between machines of different ones.
type architecture struct {
	name    string   // Go's, Debian's and that of .ci/kernels
	qemu    string   // emulator
	machine []string // its arguments, beside those that all machines have
	console string   // what the kernel calls the first serial port
	output  string   // what the guest calls the channel for what tests print
	options string   // for the kernel
}

// tools is what .ci/kernels calls the programs for it.
func (a *architecture) tools() string { return "tools-" + a.name }

// outputChannel is what QEMU calls the file that tests print to.
const outputChannel = "tests"

var amd64 = &architecture{
	name: "amd64",
	qemu: "qemu-system-x86_64",
	// The first serial port is that of -serial.
	machine: []string{"-device", "isa-serial,index=1,chardev=" + outputChannel},
	console: "ttyS0",
	output:  "/dev/ttyS1",
	// With page table isolation each system call would empty the emulated TLB.
	options: "nopti",
}

var arm64 = &architecture{
	name: "arm64",
	qemu: "qemu-system-aarch64",
	// That machine has but one serial port of its own. Debian's kernels have the driver for those on PCI built in.
	machine: []string{"-machine", "virt,gic-version=3", "-device", "pci-serial,chardev=" + outputChannel},
	console: "ttyAMA0",
	output:  "/dev/ttyS0",
	options: "kpti=off",
}
