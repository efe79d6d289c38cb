package procfs

import "strings"

// CgroupPaths returns the paths of /proc/<pid>/cgroup, lines of "hierarchy:controllers:path" (cgroups(7)), without
// repetition. The unified hierarchy (0::) comes first wherever its line is; on a host with both versions it is often
// just "/", and the container is in the others.
func CgroupPaths(file string) []string {
	var unified string
	var paths []string
	for line := range strings.SplitSeq(file, "\n") {
		hierarchy, rest, _ := strings.Cut(line, ":")
		// The path is what follows the second colon; it may have colons of its own. A controller cannot.
		_, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok || !strings.HasPrefix(path, "/"):
		case hierarchy == "0" && strings.HasPrefix(rest, ":"):
			unified = path
		case len(paths) == 0 || paths[len(paths)-1] != path: // controllers that share a path mostly stand together
			paths = append(paths, path)
		}
	}
	if unified != "" {
		paths = append([]string{unified}, paths...)
	}
	return paths
}
