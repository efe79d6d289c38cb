package receiver

import (
	"reflect"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// omittedOf returns the names of the resource attributes that are not enabled. Their fields have these names as tags.
func omittedOf(c *metadata.ResourceAttributesConfig) (names []string) {
	fields := reflect.ValueOf(c).Elem()
	for i := range fields.NumField() {
		if !fields.Field(i).Interface().(metadata.ResourceAttributeConfig).Enabled {
			names = append(names, fields.Type().Field(i).Tag.Get("mapstructure"))
		}
	}
	return names
}
