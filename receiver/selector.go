package receiver

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.opentelemetry.io/collector/confmap"

	"github.com/socketflow/socketflow/internal/ports"
)

// Selector matches sockets. All fields that are set have to match. At least one has to be set.
//
// A pattern is a glob over the whole path: * and ? stay within one part of it, ** spans any number of parts, [a-z] and {a,b} are
// alternatives.
type Selector struct {
	// Executable is a pattern for the path of the owner's executable, as seen in its own mount namespace, and without links:
	// /usr/sbin/nginx, /opt/**, **/python3*; not /bin/sh where /bin is a link.
	Executable string `mapstructure:"executable"`

	// PID is the owner's process id, as seen from the host: 1 to 4194304.
	PID int `mapstructure:"pid"`

	// LocalPort is the socket's own port: one (80) or a range ("8000-8999"), from 1 to 65535.
	LocalPort Ports `mapstructure:"local_port"`

	// RemotePort is the other side's port: one (443) or a range ("8000-8999"), from 1 to 65535.
	RemotePort Ports `mapstructure:"remote_port"`

	// ContainerID is the id of the owner's container: 64 lower-case hexadecimal digits, or the first of them, at least 12.
	ContainerID string `mapstructure:"container_id"`

	// CgroupPath is a pattern for the path of the owner's cgroup: /system.slice/nginx.service, /kubepods.slice/**.
	CgroupPath string `mapstructure:"cgroup_path"`

	_ struct{} // keyed literals only: fields may be added
}

const maxPID = 1 << 22 // PID_MAX_LIMIT, include/linux/threads.h

var containerID = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// Validate reports everything that is wrong with the selector.
func (s *Selector) Validate() error {
	if *s == (Selector{}) {
		return errors.New("the selector is empty; set at least one of executable, pid, local_port, remote_port, container_id, cgroup_path")
	}
	var errs []error
	if s.PID < 0 || s.PID > maxPID {
		errs = append(errs, fmt.Errorf("pid: write a process id from 1 to %d, not %d", maxPID, s.PID))
	}
	if s.ContainerID != "" && !containerID.MatchString(s.ContainerID) {
		errs = append(errs, fmt.Errorf("container_id: write 12 to 64 lower-case hexadecimal digits, not %q", s.ContainerID))
	}
	errs = append(errs,
		validatePattern("executable", s.Executable, "/usr/bin/"),
		validatePattern("cgroup_path", s.CgroupPath, "/system.slice/"),
	)
	return inline(errs...)
}

// validatePattern refuses a malformed pattern. It also refuses a pattern that can never match, because every path begins
// with a slash.
func validatePattern(key, pattern, parent string) error {
	switch {
	case pattern == "":
		return nil
	case !doublestar.ValidatePattern(pattern):
		return fmt.Errorf(`%s: %q is no pattern; close every [ and {, and write a literal one as \[ or \{`, key, pattern)
	case !strings.ContainsRune("/*?[{", rune(pattern[0])):
		return fmt.Errorf(`%s: %q matches no absolute path; write "**/%s", or the whole path such as "%s%s"`,
			key, pattern, pattern, parent, pattern)
	case !isClean(pattern):
		return fmt.Errorf(`%s: %q matches no path as the kernel has it, which has no "//", "." or ".." within and no slash at its end`, key, pattern)
	default:
		return nil
	}
}

// isClean reports whether no part of a pattern behind its first slash is one that no path has.
func isClean(pattern string) bool {
	if pattern == "/" {
		return true
	}
	for i, part := range strings.Split(pattern, "/") {
		if part == "." || part == ".." || part == "" && i > 0 {
			return false
		}
	}
	return true
}

// Ports is a range of ports. The zero value holds every port.
type Ports struct{ bounds ports.Range }

var (
	_ confmap.ScalarUnmarshaler = (*Ports)(nil)
	_ confmap.ScalarMarshaler   = Ports{}
)

// PortRange is the range of ports from low to high, both included.
func PortRange(low, high uint16) Ports { return Ports{ports.Range{Low: low, High: high}} }

// Bounds are the first and the last port of the range, or 0 and 0 for every port.
func (p Ports) Bounds() (low, high uint16) { return p.bounds.Low, p.bounds.High }

// UnmarshalScalar takes a port, or the text of a port or a range.
func (p *Ports) UnmarshalScalar(value confmap.ScalarValue) error { return p.read(value.GetRaw()) }

func (p *Ports) read(written any) error {
	var text string
	switch raw := written.(type) {
	case nil: // the key without a value
		*p = Ports{}
		return nil
	case Ports: // the same
		*p = raw
		return nil
	case map[string]any: // MarshalScalar's nil
		if len(raw) > 0 {
			return portsError("a map")
		}
		*p = Ports{}
		return nil
	case int:
		text = strconv.Itoa(raw)
	case string:
		text = raw
	case []any:
		return errors.New("write one port or range, not a list; each of several takes a selector of its own")
	default:
		return portsError(raw)
	}
	bounds, ok := ports.Parse(text)
	if !ok {
		return portsError(text)
	}
	*p = Ports{bounds}
	return nil
}

func portsError(raw any) error {
	return fmt.Errorf(`"%v" is no port; write a port from 1 to 65535 or a range of them, for example 80 or "8000-8999"`, raw)
}

// MarshalScalar writes what UnmarshalScalar takes.
func (p Ports) MarshalScalar(value confmap.ScalarValue) error {
	if p.bounds.Low == 0 {
		return value.Marshal(nil)
	}
	return value.Marshal(p.String())
}

// String is the range as it is written in a configuration.
func (p Ports) String() string { return p.bounds.String() }
