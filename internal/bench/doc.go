//go:build !linux

// Command bench runs on Linux only.
package main

func main() { panic("the benchmarks need Linux") }
