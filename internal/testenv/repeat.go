package testenv

import (
	"os"
	"testing"
)

// ciRun is a variable that differs between runs of .ci/run.
const ciRun = "SOCKETFLOW_CI_RUN"

// Repeat makes attempts at something that may fail for no fault of what is tested, so many at the most. An attempt returns why another
// one has to be made, or "" once the test has its result. The last one is told that it is: what is wrong with it is wrong.
//
// Each repeat is printed as "REPEATED <test>: <why>". .ci/run counts these lines, and fails if there are more than a few.
func Repeat(t testing.TB, attempts int, attempt func(last bool) (why string)) {
	t.Helper()
	var why string
	for n := 1; n <= attempts; n++ {
		if n > 1 {
			// The result is then one of this run alone: go test, which may keep results, sees that it depends on the variable.
			_ = os.Getenv(ciRun)
			t.Logf("REPEATED %s: %s", t.Name(), why)
		}
		if why = attempt(n == attempts); why == "" {
			return
		}
	}
	t.Fatalf("so it was in each of %d attempts: %s", attempts, why)
}
