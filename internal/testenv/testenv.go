// Package testenv checks what tests need from the host. If it is missing, the test is skipped; in CI (CI=true) the test fails,
// because there nothing may be missing.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Lacking ends a test because something is missing.
func Lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedRoot ends a test that does something for which it needs root, if it does not run as root.
func NeedRoot(t testing.TB, something string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacking(t, "%s takes root", something)
	}
}

// NeedProgram finds a program of a Debian package, by its name or by glob patterns of its path.
func NeedProgram(t testing.TB, debianPackage string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if paths, _ := filepath.Glob(name); len(paths) > 0 {
			return paths[len(paths)-1]
		}
	}
	Lacking(t, "needs %s: apt-get install %s", names[0], debianPackage)
	return ""
}
