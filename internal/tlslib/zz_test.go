package tlslib

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

type counting struct {
	*os.File
	n     int64
	calls int
}

func (c *counting) ReadAt(b []byte, o int64) (int, error) {
	c.n += int64(len(b))
	c.calls++
	return c.File.ReadAt(b, o)
}

func TestTry(t *testing.T) {
	for _, p := range strings.Fields(os.Getenv("TRY")) {
		f, err := os.Open(p)
		if err != nil {
			fmt.Println(err)
			continue
		}
		st, _ := f.Stat()
		c := &counting{File: f}
		s := time.Now()
		lib, err := Find(c, st.Size())
		fmt.Println(p, st.Size(), "read", c.n, "in", c.calls, time.Since(s), "err:", err)
		if lib != nil {
			fmt.Println("   ", lib.Kind, lib.Version, len(lib.Probes))
			if os.Getenv("V") != "" {
				for _, p := range lib.Probes {
					fmt.Printf("      call %d place %d %#x depth %d\n", p.Call, p.Place, p.Offset, p.Depth)
				}
			}
		}
	}
}
