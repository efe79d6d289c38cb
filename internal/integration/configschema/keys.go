// Package configschema derives the reference of the receiver's configuration from its Go types: a JSON schema, and a file with every key.
package configschema

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/socketflow/socketflow/receiver"
)

// kind is how a value is written.
type kind int

const (
	section   kind = iota // a map of keys
	list                  // a list, all elements of which are of one kind
	protocols             // a list of names, or a map from them to sections
	text
	whole
	number
	truth
	duration
	size
	ports
)

// Key is a key of the configuration.
type Key struct {
	Name        string
	Path        string // of names with :: between them; an element of a list has [] for its name
	Description string
	Default     any // as it is written; nil if there is none
	Low, High   string
	Words       []string // the only ones that can be written
	Numbers     []int    // the same
	MaxElements int      // of a list, 0: any number
	Keys        []*Key   // of a section, and of protocols
	Element     *Key     // of a list
	kind        kind
}

var kinds = map[reflect.Type]kind{
	reflect.TypeFor[time.Duration]():            duration,
	reflect.TypeFor[receiver.ByteSize]():        size,
	reflect.TypeFor[receiver.Ports]():           ports,
	reflect.TypeFor[receiver.ProtocolsConfig](): protocols,
}

// walker makes keys of types.
type walker struct {
	comments     comments
	descriptions map[string]string // of resource attributes
}

// Keys are those of the configuration, in one section. root is the repository's folder, whose comments describe them.
func Keys(root string) (*Key, error) {
	w := walker{comments: comments{root: root}}
	var err error
	if w.descriptions, err = resourceAttributes(root); err != nil {
		return nil, err
	}
	config := receiver.NewFactory().CreateDefaultConfig()
	top, err := w.key("", "", "The socketflow receiver. No key is needed.", reflect.ValueOf(config).Elem())
	if err != nil {
		return nil, err
	}
	return top, eachKey(top, probe)
}

// eachKey calls a function for a key, and those below it.
func eachKey(k *Key, call func(*Key) error) error {
	if k.Path != "" {
		if err := call(k); err != nil {
			return err
		}
	}
	for _, below := range k.Keys {
		if err := eachKey(below, call); err != nil {
			return err
		}
	}
	if k.Element != nil {
		return eachKey(k.Element, call)
	}
	return nil
}

func (w *walker) key(name, path, description string, value reflect.Value) (*Key, error) {
	k := &Key{Name: name, Path: path, Description: description}
	of := value.Type()
	known, found := kinds[of]
	switch {
	case found:
		k.kind = known
	case of.Kind() == reflect.Struct:
		k.kind = section
	case of.Kind() == reflect.Slice:
		k.kind = list
	case of.Kind() == reflect.String:
		k.kind = text
	case of.Kind() == reflect.Int:
		k.kind = whole
	case of.Kind() == reflect.Float64:
		k.kind = number
	case of.Kind() == reflect.Bool:
		k.kind = truth
	default:
		return nil, fmt.Errorf("%s: how %s is written is not known here", path, of)
	}
	switch k.kind {
	case section:
		return k, w.members(k, value)
	case protocols:
		return k, w.protocols(k, value)
	case list:
		var err error
		k.Element, err = w.key("[]", path+"::[]", w.comments.of(of.Elem()), reflect.New(of.Elem()).Elem())
		if err != nil {
			return nil, err
		}
	}
	k.Default = written(value)
	return k, nil
}

func (w *walker) members(k *Key, value reflect.Value) error {
	of := value.Type()
	resourceAttribute := of.Name() == "ResourceAttributeConfig"
	for i := range of.NumField() {
		field := of.Field(i)
		name := field.Tag.Get("mapstructure")
		if name == "" || resourceAttribute && name != "enabled" { // the receiver refuses their filters
			continue
		}
		description := w.comments.ofField(of, field.Name)
		switch {
		case resourceAttribute:
			description = "Whether the attribute is emitted."
		case of.Name() == "ResourceAttributesConfig":
			description = w.descriptions[name]
		}
		below, err := w.key(name, join(k.Path, name), description, value.Field(i))
		if err != nil {
			return err
		}
		k.Keys = append(k.Keys, below)
	}
	return nil
}

func (w *walker) protocols(k *Key, value reflect.Value) error {
	for _, name := range slices.Sorted(maps.Keys(value.Interface().(receiver.ProtocolsConfig))) {
		config := reflect.ValueOf(value.Interface().(receiver.ProtocolsConfig)[name]).Elem()
		description := "Nothing can be configured of it."
		if comment, found := strings.CutPrefix(w.comments.of(config.Type()), "Config is "); found {
			description = name + " is " + comment
		}
		below, err := w.key(name, join(k.Path, name), description, config)
		if err != nil {
			return err
		}
		k.Keys = append(k.Keys, below)
	}
	return nil
}

// written is a default as a user would write it, nil if it is empty.
func written(value reflect.Value) any {
	switch v := value.Interface().(type) {
	case time.Duration:
		return briefly(v)
	case receiver.ByteSize:
		return v.String()
	case receiver.Ports:
		return nil
	}
	switch value.Kind() {
	case reflect.Slice:
		var all []any
		for i := range value.Len() {
			all = append(all, written(value.Index(i)))
		}
		if all == nil {
			return nil
		}
		return all
	case reflect.String:
		if value.String() == "" {
			return nil
		}
		return value.String()
	default:
		return value.Interface()
	}
}

// briefly is a duration without zeros: 1m, not 1m0s.
func briefly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "::" + name
}
