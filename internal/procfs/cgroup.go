package procfs

import "strings"

// CgroupPaths returns the distinct paths of /proc/<pid>/cgroup, which has lines of "hierarchy:controllers:path"
// (cgroups(7)). The path of the unified hierarchy (0::) comes first. On a host with both cgroup versions it is often just
// "/", and the other paths name the container.
func CgroupPaths(file string) []string {
	var unified string
	var paths []string
	for line := range strings.SplitSeq(file, "\n") {
		hierarchy, rest, _ := strings.Cut(line, ":")
		// The path follows the second colon. It may contain colons; a controller's name cannot.
		_, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok || !strings.HasPrefix(path, "/"):
		case hierarchy == "0" && strings.HasPrefix(rest, ":"):
			unified = path
		case len(paths) == 0 || paths[len(paths)-1] != path: // equal paths are usually on adjacent lines
			paths = append(paths, path)
		}
	}
	if unified != "" {
		paths = append([]string{unified}, paths...)
	}
	return paths
}
