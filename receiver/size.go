package receiver

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"go.opentelemetry.io/collector/confmap"
)

// ByteSize is a number of bytes. It is written as a number, or with a unit: 4096, 64KiB, 4MiB.
type ByteSize int64

var _ confmap.ScalarUnmarshaler = (*ByteSize)(nil)

// UnmarshalScalar takes a number of bytes, or text with a unit.
func (s *ByteSize) UnmarshalScalar(value confmap.ScalarValue) error {
	switch raw := value.GetRaw().(type) {
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
		n, err := humanize.ParseBytes(raw)
		if err != nil || n > math.MaxInt64 || !isWholeSize(raw, n) {
			return fmt.Errorf("%q is no size; write bytes, or a number and a unit, for example 2097152 or 2MiB", raw)
		}
		*s = ByteSize(n)
		return nil
	default:
		return fmt.Errorf("%v is no size; write bytes, or a number and a unit, for example 2097152 or 2MiB", raw)
	}
}

// isWholeSize says whether the bytes that were read from a text are all that it says: of "1.5" the half is missing.
func isWholeSize(text string, read uint64) bool {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	unit, err := humanize.ParseBytes("1" + text[end:])
	number, ok := new(big.Rat).SetString(strings.ReplaceAll(text[:end], ",", ""))
	return err == nil && ok && number.Mul(number, new(big.Rat).SetInt(new(big.Int).SetUint64(unit))).
		Cmp(new(big.Rat).SetInt(new(big.Int).SetUint64(read))) == 0
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
