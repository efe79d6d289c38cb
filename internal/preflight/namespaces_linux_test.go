//go:build amd64 || arm64

package preflight

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNamespace(t *testing.T) {
	another := Fact{Name: "a namespace", State: Less, Lost: "names"}
	for name, test := range map[string]struct {
		host bool
		err  error
		want Fact
	}{
		"the host's": {true, nil, Fact{Name: "a namespace", State: OK, Found: "the host's"}},
		"another":    {false, nil, Fact{Name: "a namespace", State: Less, Found: "not the host's", Lost: "names"}},
		"not known":  {false, errors.New("no /proc"), Fact{Name: "a namespace", State: Unknown, Found: "no /proc"}},
	} {
		assert.Equal(t, test.want, namespace(test.host, test.err, another), name)
	}
}
