// Package receiver tests the receiver against this host's kernel and real sockets, in both modes: what it emits has to be what the
// workloads say that they did.
package receiver
