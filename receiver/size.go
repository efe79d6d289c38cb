package receiver

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// ByteSize is a number of bytes. It is written as a number, or with a unit: KiB, MiB and GiB are powers of 1024, kB, MB and GB powers of
// 1000; their case does not matter. It is whole: 1.5KiB is a size, 1.0001KiB is none.
type ByteSize int64

var _ confmap.ScalarUnmarshaler = (*ByteSize)(nil)

// UnmarshalScalar takes a number of bytes, or text with a unit.
func (s *ByteSize) UnmarshalScalar(value confmap.ScalarValue) error { return s.read(value.GetRaw()) }

func (s *ByteSize) read(written any) error {
	switch raw := written.(type) {
	case nil: // the key without a value
		*s = 0
		return nil
	case ByteSize: // also the key without a value, or a configuration that this type was written into
		*s = raw
		return nil
	case int:
		*s = ByteSize(raw)
		return nil
	case string:
		if size, ok := parseSize(raw); ok {
			*s = size
			return nil
		}
	}
	return fmt.Errorf("%s is no size; write a whole number of bytes, or a number with KiB, MiB or GiB (powers of 1024), or kB, MB or GB "+
		"(powers of 1000), for example 2097152 or 2MiB", shown(written))
}

var (
	sizeForm  = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([a-z]*)$`)
	sizeUnits = map[string]int64{
		"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1e3, "mb": 1e6, "gb": 1e9,
	}
)

func parseSize(text string) (ByteSize, bool) {
	parts := sizeForm.FindStringSubmatch(strings.ToLower(text))
	if parts == nil {
		return 0, false
	}
	unit, known := sizeUnits[parts[2]]
	number, ok := new(big.Rat).SetString(parts[1])
	if !known || !ok {
		return 0, false
	}
	number.Mul(number, new(big.Rat).SetInt64(unit))
	return ByteSize(number.Num().Int64()), number.IsInt() && number.Num().IsInt64()
}

// String writes the size with the largest unit that divides it.
func (s ByteSize) String() string {
	units := [...]string{"", "KiB", "MiB", "GiB"}
	n, unit := int64(s), 0
	for n != 0 && n%1024 == 0 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	return strconv.FormatInt(n, 10) + units[unit]
}
