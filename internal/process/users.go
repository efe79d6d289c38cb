package process

import (
	"bytes"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	maxPasswd = 1 << 20 // bytes
	// passwdExpiration is how long the file is not read again for an id that it lacks.
	passwdExpiration = 30 * time.Second
)

// users are the names of the host's users, by id. It is safe for concurrent use.
type users struct {
	roots []string
	now   func() time.Time

	mu    sync.Mutex
	names map[uint32]string
	until time.Time
}

func newUsers(roots []string, now func() time.Time) *users { return &users{roots: roots, now: now} }

// name is the name of a user, or the number of one that has none, or whose name a container decides. It is "" for an unknown user.
func (u *users) name(id UID, inContainer bool) string {
	if !id.known {
		return ""
	}
	number := strconv.FormatUint(uint64(id.number), 10)
	if inContainer {
		return number
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	name, ok := u.names[id.number]
	if now := u.now(); !ok && !now.Before(u.until) {
		u.names, u.until = u.read(), now.Add(passwdExpiration)
		name, ok = u.names[id.number]
	}
	if !ok {
		return number
	}
	return name
}

// read reads the first passwd file (passwd(5)) that there is.
func (u *users) read() map[uint32]string {
	names := make(map[uint32]string)
	for _, root := range u.roots {
		file, err := readBounded(filepath.Join(root, "etc", "passwd"), maxPasswd)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(file) {
			name, rest, _ := bytes.Cut(line, []byte{':'})
			_, rest, _ = bytes.Cut(rest, []byte{':'})
			number, _, _ := bytes.Cut(rest, []byte{':'})
			id, err := strconv.ParseUint(string(number), 10, 32)
			if _, taken := names[uint32(id)]; err == nil && !taken {
				names[uint32(id)] = label(string(name))
			}
		}
		break
	}
	return names
}
