//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// mappings are what a program maps.
var mappings = []struct {
	name              string
	protection, flags int
	anonymous         bool
}{
	{"anonymous memory", unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, true},
	{"a file", unix.PROT_READ, unix.MAP_PRIVATE, false},
	{"code of a file", unix.PROT_READ | unix.PROT_EXEC, unix.MAP_PRIVATE, false},
}

// measureMaps measures what a program pays that maps memory, because new libraries are looked for.
func measureMaps(s *settings) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	file, err := os.Create(filepath.Join(s.dir, "mapped"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Truncate(int64(os.Getpagesize())); err != nil {
		return err
	}
	var arms []arm
	for _, o := range schemes[len(schemes)-1].ways {
		arms = append(arms, arm{o.name, func() ([]float64, error) {
			return o.with(s, func(*collector) ([]float64, error) { return costsOfMapping(int(file.Fd())) })
		}})
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("CPU of an mmap with its munmap, ns (the thread's own, by its clock; of %d batches the best), medians of %d rounds (least to most):\n\n|", callBatches, s.rounds)
	for _, m := range mappings {
		fmt.Printf(" | %s", m.name)
	}
	fmt.Println(" |\n|---|---:|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s", a.name)
		for j := range mappings {
			fmt.Printf(" | %s", c.value(i, j).format(0))
		}
		fmt.Println(" |")
	}
	fmt.Println()
	return nil
}

func costsOfMapping(fd int) (figures []float64, err error) {
	const times = 2000
	for _, m := range mappings {
		of, least := fd, math.Inf(1)
		if m.anonymous {
			of = -1
		}
		for range callBatches {
			began := threadTime()
			for range times {
				memory, err := unix.MmapPtr(of, 0, nil, uintptr(os.Getpagesize()), m.protection, m.flags)
				if err == nil {
					err = unix.MunmapPtr(memory, uintptr(os.Getpagesize()))
				}
				if err != nil {
					return nil, err
				}
			}
			least = min(least, float64((threadTime()-began).Nanoseconds())/times)
		}
		figures = append(figures, least)
	}
	return figures, nil
}
