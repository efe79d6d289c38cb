package receiver

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// form checks what was written for a configuration against its types, before the collector reads it: keys that are unknown, and values
// of another kind. The collector's own errors name Go types, and it reads 10 as a duration of 10ns.
type form struct {
	errs []error
	// doubtful are numbers and truth values where text is wanted, by their paths. They are right if they come from the environment, where
	// everything is text: the collector knows how they were written, and this check does not.
	doubtful map[string]error
}

// checkForm reports everything that is wrong with what was written for a type at a path. The form is for explain.
func checkForm(written any, of reflect.Type, path string) (*form, error) {
	f := &form{doubtful: map[string]error{}}
	f.check(written, of, path)
	return f, errors.Join(f.errs...)
}

// explain puts the form's errors in the place of the collector's own, where that one is about a doubtful value. The collector writes the path
// of a value within what it reads as 'trace.observed_networks[0]'; the form's paths have what it reads at base.
func (f *form) explain(err error, base string) error {
	if err == nil {
		return nil
	}
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(f.doubtful)) {
		theirs := index.ReplaceAllString(strings.TrimPrefix(path, base), "[$1]")
		theirs = strings.ReplaceAll(strings.TrimPrefix(theirs, "::"), "::", ".")
		if strings.Contains(err.Error(), "'"+theirs+"'") {
			errs = append(errs, f.doubtful[path])
		}
	}
	if errs == nil {
		return err
	}
	return errors.Join(errs...)
}

// index is a place in a list, within a path.
var index = regexp.MustCompile(`::(\d+)`)

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

// text refuses what is no text. YAML makes numbers and truth values of some words, of which choices have none.
func (f *form) text(written any, of reflect.Type, path string) {
	switch reflect.TypeOf(written).Kind() {
	case reflect.String:
	case reflect.Map, reflect.Slice:
		f.add(path, "write "+wantedText(of, "")+", not "+shown(written))
	default:
		message := fmt.Sprintf("write %s, not %s", wantedText(of, shown(written)), shown(written))
		if choices[of] != nil {
			f.add(path, message)
			return
		}
		f.doubtful[path] = fmt.Errorf("%s: %s", path, message)
	}
}

// wantedText is what to write where text is wanted.
func wantedText(of reflect.Type, written string) string {
	switch words := choices[of]; {
	case words != nil:
		return quoted(words)
	case written != "":
		return "text; in quotation marks it is: " + strconv.Quote(written)
	default:
		return "text"
	}
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
