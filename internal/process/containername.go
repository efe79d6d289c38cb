package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxNameFile bounds the size of a runtime's file about its containers, bytes. The file of one container has a few KiB;
// podman's list of all containers has room for some hundred.
const maxNameFile = 1 << 20

// nameFile is a file in which a runtime stores the name of a container.
type nameFile struct {
	engine engine
	// path is relative to the host's root; %s is the container's id.
	path string
	read func(data []byte, id string) (string, error)
}

// nameFiles are tried in order: those of the container's runtime, or all if the runtime is not known.
var nameFiles = [...]nameFile{
	// moby/moby container/container.go, daemon/container.go (configFileName "config.v2.json", default data root).
	{engineDocker, "var/lib/docker/containers/%s/config.v2.json", dockerName},
	// containerd/containerd: the bundle of a task, <state>/io.containerd.runtime.v2.task/<namespace>/<id>, with the
	// annotations of internal/cri/annotations (ContainerName). The state of k3s and RKE2 is elsewhere.
	{engineContainerd, "run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json", bundleName},
	{engineContainerd, "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json", bundleName},
	// containerd/nerdctl pkg/labels (Name), copied into the annotations.
	{engineNerdctl, "run/containerd/io.containerd.runtime.v2.task/default/%s/config.json", bundleName},
	// cri-o/cri-o pkg/annotations (ContainerName); containers/storage default run root.
	{engineCRIO, "run/containers/storage/overlay-containers/%s/userdata/config.json", bundleName},
	// containers/storage containers.go: containers that survive a reboot, and those that do not (podman run --rm).
	{enginePodman, "var/lib/containers/storage/overlay-containers/containers.json", podmanName},
	{enginePodman, "var/lib/containers/storage/overlay-containers/volatile-containers.json", podmanName},
}

// keptBy reports whether containers of e may have their names in the file.
func (f *nameFile) keptBy(e engine) bool { return e == engineUnknown || e == f.engine }

// sandbox is kubelet's name of the container that only holds a pod's namespaces (Mirantis/cri-dockerd core/naming.go,
// sandboxContainerName; CRI-O has the same). It does not identify a workload.
const sandbox = "POD"

// dockerName parses Docker's file. If an orchestrator started the container, Docker's own name is generated and differs for each
// replica ("k8s_app_web-7d4b9_default_…", "ecs-web-5-app-acc699c0"); the orchestrator's name is in a label.
func dockerName(data []byte, _ string) (string, error) {
	var container struct {
		Name   string
		Config struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(data, &container); err != nil {
		return "", err
	}
	return firstOf(container.Config.Labels, strings.TrimPrefix(container.Name, "/"),
		"io.kubernetes.container.name",     // kubernetes/kubernetes pkg/kubelet/types/labels.go
		"com.amazonaws.ecs.container-name", // aws/amazon-ecs-agent agent/engine/docker_task_engine.go
	), nil
}

// bundleName parses an OCI runtime configuration.
func bundleName(data []byte, _ string) (string, error) {
	var spec struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return "", err
	}
	return firstOf(spec.Annotations, "",
		"io.kubernetes.cri.container-name",  // containerd; a sandbox has none
		"io.kubernetes.container.name",      // CRI-O, from kubelet's labels
		"io.kubernetes.cri-o.ContainerName", // CRI-O, generated: k8s_<container>_<pod>_<namespace>_<uid>_<attempt>
		"nerdctl/name",
	), nil
}

// podmanName looks up a container in podman's list.
func podmanName(data []byte, id string) (string, error) {
	var containers []struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
	}
	if err := json.Unmarshal(data, &containers); err != nil {
		return "", err
	}
	for _, c := range containers {
		if c.ID == id && len(c.Names) > 0 {
			return c.Names[0], nil
		}
	}
	return "", nil
}

// firstOf returns the value of the first key that has one, or else otherwise. For a sandbox it returns "".
func firstOf(values map[string]string, otherwise string, keys ...string) string {
	for _, key := range keys {
		if v := values[key]; v == sandbox {
			return ""
		} else if v != "" {
			return v
		}
	}
	return otherwise
}

// containerNames looks up the names of containers on the host and caches them. It is safe for concurrent use.
type containerNames struct {
	roots    []string
	negative time.Duration
	now      func() time.Time
	cache    *lru.Cache[string, cachedName]
	failures atomic.Uint64
}

// cachedName is the result of a look-up. An empty name expires, because the file may be written after the first socket is
// used, and a runtime may be restarted.
type cachedName struct {
	name    string
	expires time.Time
}

// find returns the name of a container, or "" if it has none or none can be read.
func (c *containerNames) find(m membership) string {
	if !isContainerID(m.id) {
		return m.name // a process may have chosen the id: it must not become part of a path
	}
	if hit, ok := c.cache.Get(m.id); ok && (hit.name != "" || c.now().Before(hit.expires)) {
		return hit.name
	}
	found, err := c.read(m)
	if err != nil {
		c.failures.Add(1)
	}
	c.cache.Add(m.id, cachedName{name: found, expires: c.now().Add(c.negative)})
	return found
}

// read tries the files below each root in turn. A missing file is no error, because most hosts have one runtime. Other
// failures are returned, unless another file names the container.
func (c *containerNames) read(m membership) (string, error) {
	var errs []error
	for _, root := range c.roots {
		for i := range nameFiles {
			f := &nameFiles[i]
			if !f.keptBy(m.engine) {
				continue
			}
			path := f.path
			if strings.Contains(path, "%s") {
				path = fmt.Sprintf(path, m.id)
			}
			found, err := f.readAt(filepath.Join(root, path), m.id)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			if found != "" {
				return found, nil
			}
		}
	}
	return "", errors.Join(errs...)
}

func (f *nameFile) readAt(path, id string) (string, error) {
	data, err := readBounded(path, maxNameFile)
	if err != nil {
		return "", err
	}
	// The file may also contain the container's environment with its secrets.
	defer clear(data)
	found, err := f.read(data, id)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return label(found), nil
}

// readBounded reads a regular file of at most limit bytes. It checks the type before it opens the file, because opening a
// FIFO would block.
func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, limit)
	}
	return data, nil
}
