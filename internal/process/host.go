package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Host is what all processes have in common.
type Host struct {
	Name string // "" if unknown
	ID   string // the machine-id(5), "" if there is none

	boot   string    // random(4), boot_id
	booted time.Time // zero: not known
}

const (
	maxHostFile   = 1 << 10
	maxKernelStat = 1 << 20 // it has a line for each CPU, and one that is long
)

// readHost reads what is known of the host whose root is the first of roots that has it.
func readHost(procRoot string, roots []string) (Host, error) {
	h := Host{}
	name, err := hostName(procRoot, roots)
	if err != nil {
		return h, err
	}
	h.Name = label(name)
	h.ID = firstLine(roots, "etc/machine-id", "var/lib/dbus/machine-id")
	h.boot = firstLine([]string{procRoot}, "sys/kernel/random/boot_id")
	if stat, err := os.ReadFile(filepath.Join(procRoot, "stat")); err == nil && len(stat) <= maxKernelStat {
		h.booted = bootTime(stat)
	}
	return h, nil
}

// hostName is the name of the host. A container that shares the host's pid namespace has a name of its own, and the host's in a file.
func hostName(procRoot string, roots []string) (string, error) {
	own, err := os.Readlink(filepath.Join(procRoot, "self", "ns", "uts"))
	first, errFirst := os.Readlink(filepath.Join(procRoot, "1", "ns", "uts"))
	if err == nil && errFirst == nil && own != first {
		if name := firstLine(roots[:1], "etc/hostname"); name != "" {
			return name, nil
		}
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	return name, nil
}

// firstLine is that of the first file that there is.
func firstLine(roots []string, files ...string) string {
	for _, root := range roots {
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(root, file))
			if errors.Is(err, fs.ErrNotExist) || err != nil || len(data) > maxHostFile {
				continue
			}
			line, _, _ := bytes.Cut(data, []byte{'\n'})
			if text := label(string(line)); text != "" {
				return text
			}
		}
	}
	return ""
}

// bootTime reads the line btime of /proc/stat: seconds since 1970.
func bootTime(stat []byte) time.Time {
	for line := range bytes.Lines(stat) {
		if number, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			if seconds, err := strconv.ParseInt(string(bytes.TrimSpace(number)), 10, 64); err == nil {
				return time.Unix(seconds, 0).UTC()
			}
		}
	}
	return time.Time{}
}

const (
	ticksPerSecond = 100     // the unit of a process's start (USER_HZ)
	maxStart       = 1 << 38 // 87 years
)

// createdAt is the time of a start. The start and the time of the boot are the same for every collector.
func (h *Host) createdAt(start uint64) time.Time {
	if h.booted.IsZero() || start == 0 || start > maxStart {
		return time.Time{}
	}
	return h.booted.Add(time.Duration(start) * (time.Second / ticksPerSecond))
}

// instances is the namespace of service.instance.id that the semantic conventions give for ids made from others.
var instances = uuid.MustParse("4d63009a-8d0f-11ee-aad7-4c796ed8e320")

// instanceID is a UUID of version 5. A pid and a start time are unique until the next boot.
func (h *Host) instanceID(id ID) string {
	if id.PID == 0 {
		return ""
	}
	return uuid.NewSHA1(instances, fmt.Appendf(nil, "%s/%s/%d/%d", h.ID, h.boot, id.PID, id.Start)).String()
}
