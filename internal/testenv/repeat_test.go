package testenv

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// transcript is a test that records what it prints and how it ends.
type transcript struct {
	outcome
	printed []string
}

func (s *transcript) Name() string { return "TestOne/socket" }

func (s *transcript) Logf(format string, args ...any) {
	s.printed = append(s.printed, fmt.Sprintf(format, args...))
}

func TestRepeatsArePrintedAndBounded(t *testing.T) {
	const again = "REPEATED TestOne/socket: 5 events were lost"
	for name, test := range map[string]struct {
		repeats  int // requested by the attempts
		attempts int // expected
		printed  []string
		how      string
	}{
		"at once":               {0, 1, nil, ""},
		"at the second attempt": {1, 2, []string{again}, ""},
		"at the last attempt":   {2, 3, []string{again, again}, ""},
		"at none":               {9, 3, []string{again, again}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			var s transcript
			var lasts []bool
			Repeat(&s, 3, func(last bool) string {
				lasts = append(lasts, last)
				if len(lasts) <= test.repeats {
					return "5 events were lost"
				}
				return ""
			})
			assert.Equal(t, []bool{false, false, true}[:test.attempts], lasts)
			assert.Equal(t, test.printed, s.printed)
			assert.Equal(t, test.how, s.how)
		})
	}
}
