package receiver

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/socketflow/socketflow/internal/protocol/registry"
)

// renamed has keys that were here before, or that generated documents of other receivers have, and what takes their place.
var renamed = map[string]string{
	"headers":              "belongs to a protocol now; write protocols: {http: {headers: …}}, and name there the other protocols that are wanted",
	"process_command_line": "is gone; write resource_attributes: {process.command_args: {enabled: true}}",
	"payload::run_limit":   "is burst_limit now; write payload: {burst_limit: …}",
	"events":               "is not here; write connection_records: [open, close, fail]",
	"resource_attributes::process.command_line": "is not here; write process.command_args",
}

// adviceOn says what to write instead of a key that is unknown at a path, where others are known.
func adviceOn(path, key string, known []string) string {
	if advice, found := renamed[join(path, key)]; found {
		return advice
	}
	if near := nearest(key, known); near != "" {
		return "unknown key; write " + near
	}
	if elsewhere := pathsTo(key); len(elsewhere) == 1 || len(elsewhere) == 2 {
		return "unknown key; write " + strings.Join(elsewhere, " or ")
	}
	return fmt.Sprintf("unknown key; known: %s", listed(known))
}

// pathsTo lists where a key is known.
func pathsTo(key string) []string {
	paths := pathsIn(reflect.TypeFor[Config](), key, "")
	for _, name := range registry.Names() {
		of := reflect.TypeOf(registry.Configs()[name]).Elem()
		paths = append(paths, pathsIn(of, key, join(protocolsKey, name))...)
	}
	return paths
}

func pathsIn(of reflect.Type, key, path string) (paths []string) {
	for _, k := range keyedOf(of) {
		if k.key == key {
			paths = append(paths, join(path, key))
		}
		if k.of.Kind() == reflect.Struct {
			paths = append(paths, pathsIn(k.of, key, join(path, k.key))...)
		}
	}
	return paths
}

// nearest is the known key that a written one is taken to mean, "" if there is none: the only one that begins like it, or one that is at
// most one change per four bytes apart, or the only one that it abbreviates. Case, and what separates words, does not matter. A namespace that
// both have (process.) makes no key nearer than another of it.
func nearest(written string, known []string) (near string) {
	written = strings.ToLower(written)
	if dot := strings.LastIndexByte(written, '.'); dot >= 0 {
		namespace := written[:dot+1]
		var within []string
		for _, key := range known {
			if rest, found := strings.CutPrefix(key, namespace); found {
				within = append(within, rest)
			}
		}
		if within != nil {
			if near = nearest(written[dot+1:], within); near == "" {
				near = abbreviated(written[dot+1:], within)
			}
			if near != "" {
				return namespace + near
			}
			return ""
		}
	}
	from := withoutSeparators(written)
	var longer []string
	for _, key := range known {
		if strings.HasPrefix(withoutSeparators(key), from) {
			longer = append(longer, key)
		}
	}
	if len(longer) == 1 {
		return longer[0]
	}
	least := len(from)/4 + 1
	for _, key := range known {
		if n := distance(from, withoutSeparators(key)); n < least {
			least, near = n, key
		}
	}
	return near
}

var withoutSeparators = strings.NewReplacer("-", "", "_", "", ".", "").Replace

// abbreviated is the only known key that begins with the same letter as an abbreviation and has its letters in this order, "" if there is none.
func abbreviated(short string, known []string) string {
	var found []string
	for _, key := range known {
		rest := withoutSeparators(short)
		if rest == "" || rest[0] != key[0] {
			continue
		}
		for i := 0; i < len(key) && rest != ""; i++ {
			if key[i] == rest[0] {
				rest = rest[1:]
			}
		}
		if rest == "" {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// distance is how many bytes have to be changed, added or removed to make one text of another (Levenshtein).
func distance(from, to string) int {
	row := make([]int, len(to)+1) // of the matrix: from the first i bytes of from to the first j of to
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(to) {
			change := diagonal
			if from[i] != to[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(to)]
}
