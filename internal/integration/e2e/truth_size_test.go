//go:build e2e && linux

package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// truthKey is the environment variable that says how many requests of each protocol the tests of the truth of metrics send: make truth sets it.
const truthKey = "SOCKETFLOW_TRUTH"

// requestsOfTruth is how many requests a test sends: as many as it would, unless more are asked for.
func requestsOfTruth(t testing.TB, usual int) int {
	t.Helper()
	text := os.Getenv(truthKey)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, truthKey)
	return max(n, usual)
}

// enoughFor is a bound on how long a load of so many requests takes.
func enoughFor(requests int) time.Duration {
	return time.Minute + time.Duration(requests)*time.Millisecond
}
