package recording

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

// MaxTexts is how many bytes the texts of a recording take that differ: names of processes and of Unix sockets. The file may be a thousandth of
// what it holds, and a replay remembers the texts for as long as sockets and processes last.
const MaxTexts = 64 << 20

const (
	textBytes      = 64 // that a text takes beside its bytes: its place in the table
	attributeBytes = 40 // a process.Attribute
)

// texts has each text of a recording once, so that the bound is one on all that a replay can remember of them.
type texts struct {
	known   map[string]string
	lists   map[string][]process.Attribute
	left    int    // bytes that new ones may take
	leftOut uint64 // items that lack what had no room
	key     []byte // reused
}

func newTexts() texts {
	return texts{known: map[string]string{}, lists: map[string][]process.Attribute{}, left: MaxTexts}
}

// process replaces the texts of a process by those that are known already. false: there is no room for its own.
func (t *texts) process(p *process.Info) bool {
	for _, text := range infoTexts(p) {
		if !t.one(text) {
			t.leftOut++
			return false
		}
	}
	if !t.attributes(p) {
		t.leftOut++
		return false
	}
	return true
}

// socket does the same with the names of a Unix socket, which has none if there is no room.
func (t *texts) socket(u *event.Unix) {
	if !t.one(&u.Local) || !t.one(&u.Remote) {
		u.Local, u.Remote = "", ""
		t.leftOut++
	}
}

func (t *texts) one(text *string) bool {
	if *text == "" {
		return true
	}
	known, found := t.known[*text]
	if !found {
		if !t.take(len(*text) + textBytes) {
			return false
		}
		known = *text
		t.known[known] = known
	}
	*text = known
	return true
}

// attributes are the same for most processes of a program. So the list is there once, too.
func (t *texts) attributes(p *process.Info) bool {
	if len(p.ResourceAttributes) == 0 {
		p.ResourceAttributes = nil
		return true
	}
	t.key = t.key[:0]
	for _, a := range p.ResourceAttributes {
		for _, text := range [...]string{a.Key, a.Value} {
			t.key = append(binary.AppendUvarint(t.key, uint64(len(text))), text...)
		}
		if a.Cut {
			t.key = append(t.key, 1)
		} else {
			t.key = append(t.key, 0)
		}
	}
	known, found := t.lists[string(t.key)]
	if !found {
		if !t.take(2*len(t.key) + textBytes + attributeBytes*len(p.ResourceAttributes)) {
			return false
		}
		known = p.ResourceAttributes
		t.lists[string(t.key)] = known
	}
	p.ResourceAttributes = known
	return true
}

func (t *texts) take(bytes int) bool {
	if bytes > t.left {
		return false
	}
	t.left -= bytes
	return true
}

// infoTexts are the texts of a process that a recording has, its attributes aside.
func infoTexts(p *process.Info) []*string {
	return []*string{
		&p.Comm, &p.Executable, &p.Owner, &p.InstanceID, &p.ServiceName, &p.ServiceNameSource, &p.ContainerID, &p.ContainerName, &p.ContainerRuntime,
		&p.PodUID, &p.PodContainer, &p.CgroupPath,
	}
}
