package memcached

import "strings"

// command is what is known of a command.
type command struct {
	name  string // of the span
	text  []byte // the same, but for commands that are not known
	reply reply
	keys  span // which words are keys, of the text protocol
	data  int  // the word that says how many bytes follow; 0: none do
	least int  // words, the name included
	most  int
	quiet bool // it gets no reply if nothing is to be said; of the binary protocol
	meta  bool
	gets  bool // it asks for values, of which there may be none
	// secret: what is in the place of a key is none.
	secret bool
}

// span is a range of words.
type span struct{ from, to int }

// reply is the form of what the server replies.
type reply uint8

const (
	replyLine   reply = iota // a line
	replyValues              // values, and a line
	replyLines               // lines, and one that ends them
	replyStream              // a line, and then what has to do with other clients
	replyNone                // none: the server closes the connection
)

const (
	maxKeys  = 1 << 20 // of a get
	maxFlags = 64      // words of a meta command
)

var (
	first = span{1, 2}
	every = span{1, maxKeys}
	later = span{2, maxKeys} // all but the first
)

// table has the commands of the text protocol of memcached 1.6. The word "noreply" comes on top of them.
var table = map[string]command{
	"get": {reply: replyValues, keys: every, least: 2, most: maxKeys}, "gets": {reply: replyValues, keys: every, least: 2, most: maxKeys},
	"gat": {reply: replyValues, keys: later, least: 3, most: maxKeys}, "gats": {reply: replyValues, keys: later, least: 3, most: maxKeys},
	"set": {keys: first, data: 4, least: 5, most: 5}, "add": {keys: first, data: 4, least: 5, most: 5}, "replace": {keys: first, data: 4, least: 5, most: 5},
	"append": {keys: first, data: 4, least: 5, most: 5}, "prepend": {keys: first, data: 4, least: 5, most: 5}, "cas": {keys: first, data: 4, least: 6, most: 6},
	"delete": {keys: first, least: 2, most: 3}, "incr": {keys: first, least: 3, most: 3}, "decr": {keys: first, least: 3, most: 3}, "touch": {keys: first, least: 3, most: 3},
	"mg": {keys: first, least: 2, most: maxFlags, meta: true}, "ms": {keys: first, data: 2, least: 3, most: maxFlags, meta: true}, "md": {keys: first, least: 2, most: maxFlags, meta: true},
	"ma": {keys: first, least: 2, most: maxFlags, meta: true}, "me": {keys: first, least: 2, most: maxFlags, meta: true}, "mn": {least: 1, most: 1, meta: true},
	"stats": {reply: replyLines, least: 1, most: 8}, "config": {reply: replyValues, least: 2, most: 3},
	"version": {least: 1, most: 1}, "verbosity": {least: 2, most: 2}, "flush_all": {least: 1, most: 2},
	"slabs": {least: 2, most: 8}, "lru": {least: 2, most: 8}, "lru_crawler": {reply: replyLines, least: 2, most: 8}, "extstore": {least: 2, most: 8},
	"cache_memlimit": {least: 2, most: 2}, "refresh_certs": {least: 1, most: 1}, "watch": {reply: replyStream, least: 1, most: 16},
	"quit": {reply: replyNone, least: 1, most: 1}, "shutdown": {reply: replyNone, least: 1, most: 2},
}

const maxName = 16 // bytes of a command's name; the longest has 14

var commands = func() map[string]*command {
	made := make(map[string]*command)
	for name, c := range table {
		c.name, c.text, c.gets = name, []byte(name), strings.HasPrefix(name, "g") || name == "mg"
		made[name] = &c
	}
	return made
}()

// other stands for all commands that are not known.
var other = &command{name: name, text: []byte("_OTHER"), least: 1, most: maxKeys}

// binaryTable has the commands of the binary protocol, by their numbers. A name that ends with q is that of a quiet one.
var binaryTable = [...]struct {
	number byte
	name   string
	reply  reply
	quiet  bool
}{
	{0x00, "get", replyLine, false}, {0x01, "set", replyLine, false}, {0x02, "add", replyLine, false}, {0x03, "replace", replyLine, false},
	{0x04, "delete", replyLine, false}, {0x05, "incr", replyLine, false}, {0x06, "decr", replyLine, false}, {0x07, "quit", replyLine, false},
	{0x08, "flush", replyLine, false}, {0x09, "getq", replyLine, true}, {0x0a, "noop", replyLine, false}, {0x0b, "version", replyLine, false},
	{0x0c, "getk", replyLine, false}, {0x0d, "getkq", replyLine, true}, {0x0e, "append", replyLine, false}, {0x0f, "prepend", replyLine, false},
	{0x10, "stat", replyLines, false}, {0x11, "setq", replyLine, true}, {0x12, "addq", replyLine, true}, {0x13, "replaceq", replyLine, true},
	{0x14, "deleteq", replyLine, true}, {0x15, "incrq", replyLine, true}, {0x16, "decrq", replyLine, true}, {0x17, "quitq", replyNone, false},
	{0x18, "flushq", replyLine, true}, {0x19, "appendq", replyLine, true}, {0x1a, "prependq", replyLine, true}, {0x1b, "verbosity", replyLine, false},
	{0x1c, "touch", replyLine, false}, {0x1d, "gat", replyLine, false}, {0x1e, "gatq", replyLine, true}, {0x20, "sasl_list_mechs", replyLine, false},
	{0x21, "sasl_auth", replyLine, false}, {0x22, "sasl_step", replyLine, false}, {0x23, "gatk", replyLine, false}, {0x24, "gatkq", replyLine, true},
}

// binaries has all numbers: those that are not known stand for any.
var binaries = func() (all [256]*command) {
	for i := range all {
		all[i] = other
	}
	for _, b := range binaryTable {
		all[b.number] = &command{
			name: b.name, text: []byte(b.name), reply: b.reply, quiet: b.quiet,
			gets: strings.HasPrefix(b.name, "g"), secret: strings.HasPrefix(b.name, "sasl"),
		}
	}
	return all
}()
