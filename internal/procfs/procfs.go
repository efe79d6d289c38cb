// Package procfs reads procfs, which is mounted on /proc (proc(5)): all that the collector learns from there of sockets, processes,
// threads and network namespaces.
package procfs
