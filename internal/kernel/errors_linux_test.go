//go:build amd64 || arm64

package kernel

import (
	"strings"
	"testing"
)

func TestHowToGetCapabilities(t *testing.T) {
	for name, test := range map[string]struct {
		root        bool
		says, hides string
	}{
		"a user":              {false, "run it as root, or give it CAP_BPF and CAP_PERFMON", "--cap-add"},
		"root of a container": {true, "give it CAP_BPF and CAP_PERFMON, which root lacks here", "run it as root"},
	} {
		got := howToGet([]string{"CAP_BPF", "CAP_PERFMON"}, test.root)
		if !strings.HasPrefix(got, test.says) || strings.Contains(got, test.hides) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
