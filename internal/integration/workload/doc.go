// Package workload opens sockets in every way that matters and writes down what it did: the truth that observers are
// measured against.
//
// A workload runs in a process of its own, because a collector leaves out its own sockets. That process is the calling
// program's executable again: [Command] asks for a workload, [RunIfAsked] answers, [Start] reads what is written down.
// Sockets are used by plain system calls, so that it is known which process does what to which socket, and when.
package workload
