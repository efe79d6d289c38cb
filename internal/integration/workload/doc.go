// Package workload opens sockets in every way that matters and writes down what it did: the truth against which observers are
// tested.
//
// A workload runs in a process of its own, because a collector leaves out its own sockets. That process is the calling program's
// executable again: [Command] selects a workload, [RunIfAsked] runs it, [Start] reads what it writes down. Workloads use plain
// system calls, so that it is known which process does what to which socket, and when.
package workload
