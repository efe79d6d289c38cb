package testenv

import (
	"os"
	"testing"
)

// ciRun is an environment variable that differs between runs of .ci/run.
const ciRun = "SOCKETFLOW_CI_RUN"

// Repeat repeats an attempt that may fail for reasons outside the tested code, up to a number of attempts. An attempt returns why
// it must be repeated, or "" if the test has its result. last is true for the last attempt, which must not excuse any failure.
//
// Each repeat is printed as "REPEATED <test>: <why>". .ci/run counts these lines, and fails if there are more than a few.
func Repeat(t testing.TB, attempts int, attempt func(last bool) (why string)) {
	t.Helper()
	var why string
	for n := 1; n <= attempts; n++ {
		if n > 1 {
			// Reading the variable prevents go test from caching the result beyond this run.
			_ = os.Getenv(ciRun)
			t.Logf("REPEATED %s: %s", t.Name(), why)
		}
		if why = attempt(n == attempts); why == "" {
			return
		}
	}
	t.Fatalf("so it was in each of %d attempts: %s", attempts, why)
}
