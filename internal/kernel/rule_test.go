//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"

	"github.com/socketflow/socketflow/internal/ports"
)

func TestLeaveOutAllIsForAnyPort(t *testing.T) {
	port := ports.Range{Low: 53, High: 53}
	include, exclude, excludePort := Rule{}, Rule{Exclude: true}, Rule{Exclude: true, LocalPort: port}
	for name, test := range map[string]struct {
		rules   []Rule
		matched uint64
		want    bool
	}{
		"no rule matches":                          {[]Rule{exclude}, 0, false},
		"an exclude matches":                       {[]Rule{exclude}, 1, true},
		"an exclude of a port matches":             {[]Rule{excludePort}, 1, false},
		"no include matches":                       {[]Rule{include, include}, 0, true},
		"an include matches":                       {[]Rule{include, include}, 1, false},
		"an include of a port matches":             {[]Rule{{RemotePort: port}}, 1, false},
		"an include and an exclude match":          {[]Rule{include, exclude}, 3, true},
		"an include and an exclude of a port do":   {[]Rule{include, excludePort}, 3, false},
		"an exclude of a port, and no include, do": {[]Rule{include, excludePort}, 2, true},
	} {
		if got := leaveOutAll(test.rules, test.matched); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
