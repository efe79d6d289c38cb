package recording

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/process"
)

// names replaces names: the same one always by the same, within one recording. The key is never written, so that nobody can try names.
type names struct{ key []byte }

func newNames() names {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails
	return names{key}
}

func (n names) sum(text string) []byte {
	mac := hmac.New(sha256.New, n.key)
	mac.Write([]byte(text)) // never fails
	return mac.Sum(nil)
}

// replace returns the replacement of a name, such as program-1f0a9c3e. The empty name stays.
func (n names) replace(what, name string) string {
	if name == "" {
		return ""
	}
	return what + "-" + hex.EncodeToString(n.sum(what + "\x00" + name)[:4])
}

func (n names) number(of uint64) uint64 {
	return binary.LittleEndian.Uint64(n.sum(string(binary.LittleEndian.AppendUint64([]byte("number\x00"), of))))
}

// letters writes over a text: each letter and digit, and each byte that is not ASCII, by a letter that the whole text determines. So its
// length and its form stay.
func (n names) letters(text []byte) {
	var sum []byte
	for i, c := range text {
		if i%sha256.Size == 0 {
			sum = n.sum(string(binary.LittleEndian.AppendUint32([]byte("letters\x00"+string(text)), uint32(i))))
		}
		if isAlphanumeric(c) || c >= utf8.RuneSelf {
			text[i] = 'a' + sum[i%sha256.Size]%26
		}
	}
}

// file replaces the name of a Unix socket, which is a path, or @ and a name of the abstract namespace.
func (n names) file(name string) string {
	switch {
	case name == "":
		return ""
	case strings.HasPrefix(name, "@"):
		return "@" + n.replace("socket", name)
	}
	return "/" + n.replace("socket", name)
}

// identifier replaces hexadecimal digits by others.
func (n names) identifier(id string) string {
	if id == "" {
		return ""
	}
	sum := hex.EncodeToString(n.sum("id\x00" + id))
	return strings.Repeat(sum, len(id)/len(sum)+1)[:len(id)]
}

// process returns what is recorded of a process: the structure, and replacements for all that a person has chosen. Arguments go.
func (n names) process(p *process.Info) *process.Info {
	to := *p
	to.Comm = n.replace("program", p.Comm)
	if p.Executable != "" {
		to.Executable = "/" + n.replace("program", p.Executable)
	}
	to.Owner = n.replace("user", p.Owner)
	to.InstanceID = n.identifier(p.InstanceID)
	to.CommandLine, to.CommandLineCut = nil, false
	if p.ServiceName != process.UnknownService {
		to.ServiceName = n.service(p)
	}
	to.ResourceAttributes = slices.Clone(p.ResourceAttributes)
	for i := range to.ResourceAttributes {
		a := &to.ResourceAttributes[i]
		a.Key, a.Value = n.replace("key", a.Key), n.replace("value", a.Value)
	}
	to.ContainerID, to.PodUID = n.identifier(p.ContainerID), n.identifier(p.PodUID)
	to.ContainerName, to.PodContainer = n.replace("container", p.ContainerName), n.replace("container", p.PodContainer)
	if p.CgroupPath != "" {
		to.CgroupPath = "/" + n.replace("cgroup", p.CgroupPath)
	}
	return &to
}

// service replaces a service's name. One that is the executable's name stays so.
func (n names) service(p *process.Info) string {
	if p.ServiceName == p.ExecutableName() {
		return n.replace("program", p.Executable)
	}
	return n.replace("service", p.ServiceName)
}
