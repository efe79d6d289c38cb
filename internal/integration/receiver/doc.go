// Package receiver tests the receiver against this host's kernel and real sockets, in both modes: its telemetry has to agree with
// what the workloads say that they did.
package receiver
