package receiver

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// form checks what was written for a configuration against its types, before the collector reads it: keys that are unknown, and values
// of another kind. The collector's own errors name Go types, and it reads 10 as a duration of 10ns.
type form struct{ errs []error }

// checkForm reports everything that is wrong with what was written for a type at a path.
func checkForm(written any, of reflect.Type, path string) error {
	var f form
	f.check(written, of, path)
	return errors.Join(f.errs...)
}

// reader is a type that reads what was written for it.
type reader interface{ read(written any) error }

var (
	readerType            = reflect.TypeFor[reader]()
	durationType          = reflect.TypeFor[time.Duration]()
	resourceAttributeType = reflect.TypeFor[metadata.ResourceAttributeConfig]()
)

// check checks a value. One of the type itself is a default that the collector has written.
func (f *form) check(written any, of reflect.Type, path string) {
	switch {
	case written == nil || reflect.TypeOf(written) == of:
	case reflect.PointerTo(of).Implements(readerType):
		if err := reflect.New(of).Interface().(reader).read(written); err != nil {
			f.add(path, err.Error())
		}
	case of == durationType:
		f.duration(written, path)
	case of.Kind() == reflect.Struct:
		f.members(written, of, path)
	case of.Kind() == reflect.Slice:
		f.elements(written, of, path)
	case of.Kind() == reflect.Int:
		f.whole(written, path)
	case of.Kind() == reflect.Float64:
		f.number(written, path)
	case of.Kind() == reflect.Bool:
		f.truth(written, path)
	case of.Kind() == reflect.String:
		f.text(written, of, path)
	}
}

func (f *form) add(path, message string) {
	f.errs = append(f.errs, fmt.Errorf("%s: %s", path, message))
}

func (f *form) members(written any, of reflect.Type, path string) {
	members, ok := written.(map[string]any)
	switch {
	case ok:
	case of == resourceAttributeType:
		f.add(path, fmt.Sprintf("write {enabled: false} or {enabled: true}, not %s", shown(written)))
		return
	default:
		f.add(path, fmt.Sprintf("write a map of %s, not %s", listed(keysOf(of)), shown(written)))
		return
	}
	for _, k := range keyedOf(of) {
		f.check(members[k.key], k.of, join(path, k.key))
	}
	known := keysOf(of)
	var unknown []string
	for key := range members {
		if !slices.Contains(known, key) && !isUnsetFilter(members[key], of) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		f.add(join(path, key), adviceOn(path, key, known))
	}
}

// isUnsetFilter reports whether a value is that of a resource attribute's filter which nobody has set: the collector writes them.
func isUnsetFilter(written any, of reflect.Type) bool {
	list, isList := written.([]any)
	return of == resourceAttributeType && (written == nil || isList && len(list) == 0)
}

func (f *form) elements(written any, of reflect.Type, path string) {
	list, ok := written.([]any)
	if !ok {
		if reflect.TypeOf(written).Kind() != reflect.Slice {
			f.add(path, "write a list, such as "+exampleOf(of.Elem(), written)+", not "+shown(written))
		}
		return
	}
	for i, element := range list {
		f.check(element, of.Elem(), join(path, strconv.Itoa(i)))
	}
}

// exampleOf is a list of what was written, if that can be in it.
func exampleOf(element reflect.Type, written any) string {
	text, isText := written.(string)
	switch {
	case element.Kind() == reflect.Struct:
		return "[{" + keysOf(element)[0] + ": …}]"
	case isText:
		return "[" + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }), ", ") + "]"
	default:
		return "[a, b]"
	}
}

// duration refuses a number without a unit, of which the collector makes nanoseconds.
func (f *form) duration(written any, path string) {
	text, ok := written.(string)
	if ok {
		if _, err := time.ParseDuration(text); err == nil {
			return
		}
	}
	f.add(path, "write a duration with a unit, for example 10s or 100ms, not "+shown(written))
}

// truth refuses what is neither true nor false.
func (f *form) truth(written any, path string) {
	if _, ok := written.(bool); !ok {
		f.add(path, "write true or false"+notAsWritten(written))
	}
}

// whole refuses a number with a fraction, which the collector would cut off.
func (f *form) whole(written any, path string) {
	switch number := written.(type) {
	case int, int64, uint64:
		return
	case float64:
		if number == math.Trunc(number) && math.Abs(number) <= math.MaxInt32 {
			return
		}
	}
	f.add(path, "write a whole number"+notAsWritten(written))
}

// number refuses what is no number.
func (f *form) number(written any, path string) {
	switch written.(type) {
	case int, int64, uint64, float64:
	default:
		f.add(path, "write a number such as 0.1"+notAsWritten(written))
	}
}

// text refuses what is no text where one of some words is wanted: YAML makes numbers and truth values of some. Any other text is left
// to the collector, which knows how it was written.
func (f *form) text(written any, of reflect.Type, path string) {
	_, isText := written.(string)
	words := choices[of]
	if isText || words == nil || reflect.TypeOf(written).Kind() == reflect.String {
		return
	}
	f.add(path, fmt.Sprintf("write %s, not %s", quoted(words), shown(written)))
}

// keyed is a key of a struct, and the type of its value.
type keyed struct {
	key string
	of  reflect.Type
}

// keyedOf lists the keys of a struct in order.
func keyedOf(of reflect.Type) (all []keyed) {
	for i := range of.NumField() {
		field := of.Field(i)
		key := field.Tag.Get("mapstructure")
		// The filters of resource attributes are for components that build their records with mdatagen's code.
		if key == "" || of == resourceAttributeType && key != "enabled" {
			continue
		}
		all = append(all, keyed{key, field.Type})
	}
	return all
}

func keysOf(of reflect.Type) (keys []string) {
	for _, k := range keyedOf(of) {
		keys = append(keys, k.key)
	}
	return keys
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "::" + key
}

// notAsWritten says what not to write. A number or a truth value in quotation marks is text.
func notAsWritten(written any) string {
	text, _ := written.(string)
	if _, err := strconv.ParseFloat(text, 64); err == nil || text == "true" || text == "false" {
		return " without quotation marks, not " + shown(written)
	}
	return ", not " + shown(written)
}

// shown is a written value in a message.
func shown(written any) string {
	switch value := written.(type) {
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return strconv.Quote(value)
	default:
		return fmt.Sprint(value)
	}
}

// listed joins words: a, b and c.
func listed(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// quoted joins words of which one is to be chosen: "a", "b" or "c".
func quoted(words []string) string {
	marked := make([]string, len(words))
	for i, word := range words {
		marked[i] = strconv.Quote(word)
	}
	last := len(marked) - 1
	return strings.Join(marked[:last], ", ") + " or " + marked[last]
}
