package configschema

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/socketflow/socketflow/receiver"
)

// probe asks the receiver what can be written for a key: it refuses a value that is wrong, and says which ones are right. So there is one
// place that knows, the one that counts.
func probe(k *Key) error {
	var err error
	switch k.kind {
	case text:
		k.Words = words(k)
	case whole:
		if k.Low, k.High, err = bounds(k, -1); err != nil {
			k.Numbers, err = accepted(k)
		}
	case number:
		k.Low, k.High, err = bounds(k, -1.0)
	case duration:
		k.Low, k.High, err = bounds(k, "-1s")
	case size:
		k.Low, k.High, err = bounds(k, -1)
	case list:
		if k.Element.kind != text || words(k.Element) == nil {
			k.MaxElements, err = elements(k)
		}
	}
	return err
}

var (
	quotedWord = regexp.MustCompile(`"([^"]+)"`)
	wordsForm  = regexp.MustCompile(`write ("[^"]+"(?:, "[^"]+")* or "[^"]+"), not "\?"`)
	oneOfForm  = regexp.MustCompile(`write one of ([a-z0-9, ]+)$`)
	rangeForm  = regexp.MustCompile(`from (\S+)(?: \([^)]*\))? to ([^\s,]+)`)
	mostForm   = regexp.MustCompile(`write at most (\d+)`)
)

// words are those that a key's value is one of, nil if it is any text.
func words(k *Key) (all []string) {
	err := try(k, "?")
	if err == nil {
		return nil
	}
	if found := wordsForm.FindStringSubmatch(err.Error()); found != nil {
		for _, word := range quotedWord.FindAllStringSubmatch(found[1], -1) {
			all = append(all, word[1])
		}
		return all
	}
	if found := oneOfForm.FindStringSubmatch(err.Error()); found != nil {
		return strings.Split(found[1], ", ")
	}
	return nil
}

func bounds(k *Key, wrong any) (low, high string, err error) {
	refused := try(k, wrong)
	if refused == nil {
		return "", "", fmt.Errorf("%s: the receiver takes %v", k.Path, wrong)
	}
	found := rangeForm.FindStringSubmatch(refused.Error())
	if found == nil {
		return "", "", fmt.Errorf("%s: the receiver does not say what to write: %w", k.Path, refused)
	}
	return found[1], found[2], nil
}

// accepted are the numbers that the receiver takes.
func accepted(k *Key) (all []int, err error) {
	for n := range 100 {
		if try(k, n) == nil {
			all = append(all, n)
		}
	}
	if all == nil {
		return nil, fmt.Errorf("%s: the receiver takes no number", k.Path)
	}
	return all, nil
}

// elements is how many elements a list has at most.
func elements(k *Key) (int, error) {
	var many []any
	for i := range 300 {
		if k.Element.kind == section {
			many = append(many, map[string]any{k.Element.Keys[0].Name: "/a" + strconv.Itoa(i)})
		} else {
			many = append(many, "a"+strconv.Itoa(i))
		}
	}
	err := try(k, many)
	if err == nil {
		return 0, fmt.Errorf("%s: the receiver takes a list of %d", k.Path, len(many))
	}
	found := mostForm.FindStringSubmatch(err.Error())
	if found == nil {
		return 0, fmt.Errorf("%s: the receiver does not say how many there may be: %w", k.Path, err)
	}
	return strconv.Atoi(found[1])
}

// try has the receiver read a configuration with one value.
func try(k *Key, value any) error {
	names := strings.Split(k.Path, "::")
	for i := len(names) - 1; i >= 0; i-- {
		if names[i] == "[]" {
			value = []any{value}
		} else {
			value = map[string]any{names[i]: value}
		}
	}
	return load(value.(map[string]any))
}

// load does what the collector does with a receiver's part of its configuration.
func load(written map[string]any) error {
	config := receiver.NewFactory().CreateDefaultConfig()
	if err := confmap.NewFromStringMap(written).Unmarshal(config); err != nil {
		return errors.New(err.Error()) // its text only: the error has the whole configuration
	}
	return confmap.Validate(config)
}
