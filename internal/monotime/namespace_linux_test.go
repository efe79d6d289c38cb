package monotime

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/testenv"
)

// inNamespace is set in a process of this executable that is in a time namespace, and reports what the clocks are there.
const inNamespace = "SOCKETFLOW_TEST_IN_TIME_NAMESPACE"

func init() {
	if os.Getenv(inNamespace) != "" {
		fmt.Println(Now(), uint64(Suspended()), uint64(BootOffset()), read(unix.CLOCK_MONOTONIC))
		os.Exit(0)
	}
}

func TestClocksInATimeNamespaceAreTheHosts(t *testing.T) {
	testenv.NeedRoot(t, "making a time namespace")
	const days = 100 * 24 * time.Hour
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before := Now()
	cmd := exec.Command("unshare", "--time", "--fork",
		"--monotonic", fmt.Sprint(int(days.Seconds())), "--boottime", fmt.Sprint(int(2*days.Seconds())), self)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	out, err := cmd.Output()
	after := Now()
	if err != nil {
		t.Fatal(err)
	}
	var now, suspended, boot, namespaced uint64
	if _, err := fmt.Sscan(string(out), &now, &suspended, &boot, &namespaced); err != nil {
		t.Fatal(string(out), err)
	}
	if now < before || now > after || namespaced < uint64(days) {
		t.Errorf("it is %d, between %d and %d here; the clock says %d", now, before, after, namespaced)
	}
	if off := time.Duration(suspended) - Suspended(); off.Abs() > time.Second || time.Duration(boot) != 2*days {
		t.Errorf("suspended for %d, here for %d; offset %s", suspended, Suspended(), time.Duration(boot))
	}
}
