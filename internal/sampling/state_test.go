package sampling

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStateOfATracestate(t *testing.T) {
	for tracestate, want := range map[string]State{
		"":                                  {},
		"vendor=th:8":                       {},
		"ot=p:8;r:62":                       {},
		"ot=th:0":                           {threshold: present},
		"ot=th:8":                           {threshold: present | 8<<52},
		"ot=th:fd70a4":                      {threshold: present | 0xfd70a400000000},
		"ot=th:FD70A4":                      {threshold: present | 0xfd70a400000000},
		"ot=th:fd70a400000000":              {threshold: present | 0xfd70a400000000},
		"ot=th:fd70a4000000000":             {}, // too long
		"ot=th:":                            {},
		"ot=th:g":                           {},
		"ot=rv:0000000000000f":              {random: present | 15},
		"ot=rv:0f":                          {}, // too short
		"ot=p:8;rv:abcdefabcdefff;th:c":     {threshold: present | 12<<52, random: present | 0xabcdefabcdefff},
		"a=1 ,\t ot=th:c ,b=2":              {threshold: present | 12<<52},
		"a=1,ot=th:c,ot=th:8":               {threshold: present | 12<<52},
		"other=1;th:c,tenant@ot=th:8,oth=1": {},
	} {
		assert.Equal(t, want, StateOf(tracestate), "%q", tracestate)
	}
}

func TestStateIsTheFirstMemberOfATracestate(t *testing.T) {
	half, drawn := Threshold(1<<55).State(), State{threshold: present | 0xfd70a400000000, random: present | 0xab}
	var many, rest []string
	for i := range maxMembers {
		many = append(many, fmt.Sprintf("m%d=%d", i, i))
	}
	rest = many[:maxMembers-1]
	long := strings.Repeat("x", maxValue-len("th:8;")-len("a:"))
	for _, test := range []struct {
		state    State
		in, want string
	}{
		{half, "", "ot=th:8"},
		{KeepAll.State(), "", "ot=th:0"},
		{drawn, "", "ot=th:fd70a4;rv:000000000000ab"},
		{State{random: present}, "", "ot=rv:00000000000000"},
		{half, "vendor=value", "ot=th:8,vendor=value"},
		{half, " a=1 ,, b=2\t", "ot=th:8,a=1,b=2"},
		{half, "a=1,ot=th:c;rv:0000000000000f,b=2", "ot=th:8,a=1,b=2"},
		{half, "a=1,ot=p:8;th:c;r:62", "ot=th:8;p:8;r:62,a=1"},
		{half, "ot=", "ot=th:8"},
		{half, "ot= ; a:1 ; th:c,b=2", "ot=th:8;a:1,b=2"},
		{half, "ot=a:1,ot=b:2", "ot=th:8;a:1"},
		{half, strings.Join(many, ","), "ot=th:8," + strings.Join(rest, ",")},
		{half, "ot=a:" + long, "ot=th:8;a:" + long},
		{half, "ot=a:x" + long + ";b:1", "ot=th:8;b:1"},
	} {
		got := test.state.In(test.in)
		assert.Equal(t, test.want, got, "%q", test.in)
		assert.Equal(t, test.state, StateOf(got), "%q", test.in)
		assert.LessOrEqual(t, len(got), len(test.in)+MaxStateBytes, "%q", test.in)
	}
}

func FuzzStateInATracestate(f *testing.F) {
	f.Add("a=1,ot=p:8;th:c;r:62,b=2", 0.1)
	f.Add(" ot=th:g,,ot=\t;;rv:", 1.)
	f.Fuzz(func(t *testing.T, tracestate string, ratio float64) {
		StateOf(tracestate)
		if !(ratio > 0x1p-56 && ratio <= 1) {
			return
		}
		s := ThresholdOf(ratio).State()
		got := s.In(tracestate)
		require.Equal(t, s, StateOf(got))
		require.LessOrEqual(t, len(got), len(tracestate)+MaxStateBytes)
		require.Equal(t, got, s.In(got))
		require.Less(t, strings.Count(got, ","), maxMembers)
	})
}
