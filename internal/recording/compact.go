package recording

import (
	"encoding"
	"reflect"
)

var textType = reflect.TypeFor[encoding.TextMarshaler]()

// compact returns what encoding/json is to write for a value: members that are zero are left out, because most of an event's are. Reading
// needs nothing like it: a member that is not there stays zero.
func compact(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return compact(v.Elem())
	case v.Kind() != reflect.Struct || v.Type().Implements(textType):
		return v.Interface()
	}
	members := map[string]any{}
	addMembers(members, v)
	return members
}

func addMembers(members map[string]any, v reflect.Value) {
	for i := range v.NumField() {
		of := v.Type().Field(i)
		switch member := v.Field(i); {
		case !of.IsExported() || member.IsZero():
		case of.Anonymous && member.Kind() == reflect.Struct:
			addMembers(members, member)
		default:
			members[of.Name] = compact(member)
		}
	}
}
