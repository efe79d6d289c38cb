// Package libraries attaches kernel programs to the TLS libraries that processes use, as they are found.
package libraries

// Stats counts files: those whose library is observed, and those where it could not be.
type Stats struct{ Observed, Refused uint64 }
