package process

import "strings"

// cgroupPaths returns the paths of /proc/<pid>/cgroup, lines of "hierarchy:controllers:path" (cgroups(7)), without
// repetition. The unified hierarchy (0::) comes first wherever its line is; on a host with both versions it is often
// just "/", and the container is in the others.
func cgroupPaths(file string) []string {
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

// join reads several paths of one process, the most trustworthy first, and returns what they say together with the path
// that says it. The first container named is it; a pod's uid may come from another path that names the same container
// or none, because a path relative to a cgroup namespace lacks its upper part. Without a container the path is the
// first that is not a root.
func join(paths []string) (membership, string) {
	var m membership
	var chosen string
	for _, path := range paths {
		found := parseCgroup(path)
		if found.inContainer() && !m.inContainer() {
			uid := m.podUID
			m, chosen = found, path
			if m.podUID == "" {
				m.podUID = uid
			}
		}
		if m.podUID == "" && (!found.inContainer() || found.id == m.id && found.name == m.name) {
			m.podUID = found.podUID
		}
		if chosen == "" && path != "/" {
			chosen = path
		}
	}
	if chosen == "" && len(paths) > 0 {
		chosen = paths[0]
	}
	return m, text(strings.TrimSuffix(chosen, " (deleted)"), maxPath)
}
