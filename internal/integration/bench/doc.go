//go:build !linux || !(amd64 || arm64)

// Command bench runs where the receiver does: on Linux, amd64 or arm64.
package main

func main() { panic("the benchmarks need Linux on amd64 or arm64") }
