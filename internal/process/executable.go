package process

import "strings"

// cleanExecutable removes what the kernel adds to the path of an executable: " (deleted)" once the file is unlinked,
// as after every package upgrade, and "(unreachable)" if its mount is not below the reader's root (fs/d_path.c). A
// file whose own name ends in " (deleted)" loses it too; the kernel's text does not tell the two apart.
func cleanExecutable(path string) string {
	path = strings.TrimPrefix(path, "(unreachable)")
	path = strings.TrimSuffix(path, " (deleted)")
	return text(path, maxPath)
}

// sameExecutable reports whether two clean paths, one walked by the kernel program and one read from /proc, are of one
// file. They may differ by a prefix, because a walk that does not cross mount points ends at the root of the innermost
// mount ("/bin/app" for "/opt/bin/app" with a mount on /opt), and because /proc shows a path as seen from the
// collector's root, not from that of a process in a chroot. So one being the tail of the other, from a slash on, is
// enough. That takes an exec of /usr/bin/x by /bin/x for none; on most hosts those are one file.
func sameExecutable(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return a == b || len(b) > 1 && b[0] == '/' && strings.HasSuffix(a, b)
}
