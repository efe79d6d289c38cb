package receiver

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// wholeNumbers reports the keys of type int that have a number with a fraction, which the collector would cut off. The value is what was
// written for something of the type, at a path.
func wholeNumbers(value any, of reflect.Type, path string) error {
	switch written := value.(type) {
	case map[string]any:
		if of.Kind() == reflect.Struct {
			return wholeMembers(written, of, path)
		}
	case []any:
		if of.Kind() != reflect.Slice {
			return nil
		}
		var errs []error
		for i, element := range written {
			errs = append(errs, wholeNumbers(element, of.Elem(), path+"::"+strconv.Itoa(i)))
		}
		return errors.Join(errs...)
	case float64:
		if isWhole(of) && (written != math.Trunc(written) || math.Abs(written) > math.MaxInt32) {
			return fmt.Errorf("%s: write a whole number, not %v", path, written)
		}
	}
	return nil
}

// wholeMembers does the same for the members of a struct.
func wholeMembers(written map[string]any, of reflect.Type, path string) error {
	var errs []error
	for i := range of.NumField() {
		field := of.Field(i)
		key := field.Tag.Get("mapstructure")
		if value, found := written[key]; found && key != "" {
			below := key
			if path != "" {
				below = path + "::" + key
			}
			errs = append(errs, wholeNumbers(value, field.Type, below))
		}
	}
	return errors.Join(errs...)
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	scalarType   = reflect.TypeFor[confmap.ScalarUnmarshaler]()
)

// isWhole says whether a key's type is a plain int: those that read their own values check them.
func isWhole(t reflect.Type) bool {
	return t.Kind() == reflect.Int && t != durationType && !reflect.PointerTo(t).Implements(scalarType)
}
