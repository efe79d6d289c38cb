package process

import "strings"

// cleanExecutable removes what the kernel adds to the path of an executable: " (deleted)" if the file was unlinked, as by a
// package upgrade, and "(unreachable)" if its mount is not below the reader's root (fs/d_path.c). A file whose own name ends
// in " (deleted)" loses that too, because the kernel's text is the same in both cases.
func cleanExecutable(path string) string {
	path = strings.TrimPrefix(path, "(unreachable)")
	path = strings.TrimSuffix(path, " (deleted)")
	return text(path, maxPath)
}

// sameExecutable reports whether two clean paths, one from the BPF program and one from /proc, are of the same file. They may
// differ by a prefix: the BPF program does not cross mount points and stops at the root of the innermost mount ("/bin/app"
// for "/opt/bin/app" with a mount on /opt), and /proc shows a path relative to the collector's root, not to that of a process
// in a chroot. So it is enough that one path is the end of the other, from a slash on. An exec of /usr/bin/x by /bin/x is not
// recognised; on most hosts those are the same file.
func sameExecutable(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return a == b || len(b) > 1 && b[0] == '/' && strings.HasSuffix(a, b)
}
