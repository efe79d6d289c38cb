package process

import "strings"

// join combines several cgroup paths of one process, the most reliable first, into a membership, and returns the path that it
// is from. The first path with a container counts. The pod's uid may come from another path that has the same container or
// none, because a path relative to a cgroup namespace lacks its upper part. If no path has a container, the path is the first
// that is not a root.
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
