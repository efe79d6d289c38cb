package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// machineJob has the tests of two packages.
var machineJob = job{
	kernel: &kernel{series: "5.10", arch: amd64}, mode: "syscall",
	tests: slices.Concat(in(kernelPackage, "TestOne"), in(receiverPackage, "TestTwo/syscall")),
}

const good = "\n" + `vmtest begins kernel
=== RUN   TestOne
    one_test.go:1: attachment tracepoint
    one_test.go:1: verifier syscall enter_close 716
--- PASS: TestOne (1.50s)
PASS

vmtest ended kernel 1.6 ok

vmtest begins receiver
=== RUN   TestTwo
=== RUN   TestTwo/syscall
=== RUN   TestTwo/syscall/a_case
--- PASS: TestTwo (2.00s)
    --- PASS: TestTwo/syscall (2.00s)
        --- PASS: TestTwo/syscall/a_case (0.00s)
PASS

vmtest ended receiver 2.1 ok
`

const (
	panicMessage = "Kernel panic - not syncing: Fatal exception in interrupt"
	crash        = "[   48.1] Oops: int3: 0000 [#1]\r\n[   48.2] " + panicMessage + "\r\n[   48.3] Rebooting\r\n"
)

func TestResults(t *testing.T) {
	panicked, _, _ := strings.Cut(good, "=== RUN   TestTwo/syscall/a_case")
	for name, test := range map[string]struct {
		log, console   string
		err            error
		passed, failed int
		trouble        []string
	}{
		"all pass": {log: good, passed: 2},
		// The serial port is a terminal.
		"carriage returns": {log: strings.ReplaceAll(good, "\n", "\r\n"), passed: 2},
		"a subtest fails": {
			log:    strings.NewReplacer("PASS: TestTwo", "FAIL: TestTwo", "receiver 2.1 ok", "receiver 2.1 exit status 1").Replace(good),
			passed: 1, failed: 1, trouble: []string{"receiver: exit status 1"},
		},
		"a test skips": {log: strings.Replace(good, "PASS: TestOne", "SKIP: TestOne", 1), passed: 1, failed: 1, trouble: []string{}},
		"a test is not there any more": {
			log: strings.Replace(good, "PASS: TestOne", "PASS: TestOnce", 1), passed: 2, trouble: []string{"TestOne was not run"},
		},
		"the machine panics": {
			log: panicked, console: crash, passed: 1,
			trouble: []string{panicMessage, "receiver: it did not end", "TestTwo/syscall was not run"},
		},
		"the machine panics behind its tests": {log: good, console: crash, passed: 2, trouble: []string{panicMessage}},
		"the machine is gone": {
			log: panicked, passed: 1,
			trouble: []string{"receiver: it did not end", "TestTwo/syscall was not run"},
		},
		"the machine does not boot": {
			err: errors.New("did not end"),
			trouble: []string{
				"did not end", "kernel: the tests were not begun", "receiver: the tests were not begun",
				"TestOne was not run", "TestTwo/syscall was not run",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := result{job: machineJob, err: test.err}
			r.read(test.log, test.console)
			if passed, failed := r.count("PASS"), r.count("FAIL", "SKIP"); passed != test.passed || failed != test.failed {
				t.Errorf("%d passed, %d failed; want %d, %d", passed, failed, test.passed, test.failed)
			}
			if !slices.Equal(r.trouble, test.trouble) {
				t.Errorf("trouble: %q, want %q", r.trouble, test.trouble)
			}
			if well := test.trouble == nil; r.passed() != well {
				t.Errorf("passed: %v, want %v", r.passed(), well)
			}
		})
	}
}

func TestRepeated(t *testing.T) {
	failed := strings.Replace(good, "PASS: TestOne", "FAIL: TestOne", 1)
	for name, test := range map[string]struct {
		logs, consoles []string // of the attempts
		passed         bool
		shown          string
	}{
		"it passes":                  {[]string{good}, []string{""}, true, ""},
		"a test fails once":          {[]string{failed, good}, []string{"", ""}, true, "REPEATED"},
		"a test fails twice":         {[]string{failed, failed}, []string{"", ""}, false, "FAILED"},
		"it panics once":             {[]string{"", good}, []string{crash, ""}, true, "REPEATED"},
		"it panics twice":            {[]string{"", ""}, []string{crash, crash}, false, "FAILED"},
		"it panics, a test fails":    {[]string{"", failed}, []string{crash, ""}, false, "FAILED"},
		"it passes, and then panics": {[]string{good, good}, []string{crash, ""}, true, "REPEATED"},
	} {
		t.Run(name, func(t *testing.T) {
			var attempts []string
			r := twiceAtMost(func(suffix string) *result {
				n := len(attempts)
				attempts = append(attempts, suffix)
				r := &result{job: machineJob, seconds: 1}
				r.read(test.logs[n], test.consoles[n])
				return r
			})
			if want := []string{"", "-again"}[:len(test.logs)]; !slices.Equal(attempts, want) {
				t.Errorf("attempts %q, want %q", attempts, want)
			}
			if r.passed() != test.passed {
				t.Errorf("passed: %v, want %v", r.passed(), test.passed)
			}
			if row := table([]*result{r}); !strings.Contains(row, test.shown) {
				t.Errorf("%s does not say %s", row, test.shown)
			}
			if said := strings.Count(r.String(), "REPEATED 5.10-syscall: "); said != len(attempts)-1 {
				t.Errorf("%d repeats are printed of %d attempts:\n%s", said, len(attempts), r)
			}
		})
	}
}

// Each attempt prints the repeats within its machine once, whether it passed or not.
func TestRepeatsOfTestsArePrinted(t *testing.T) {
	const line = "REPEATED TestOne: 5 events were lost"
	once := strings.Replace(good, "=== RUN   TestOne\n", "=== RUN   TestOne\n    repeat.go:19: "+line+"\n", 1)
	for name, log := range map[string]string{"passes": once, "fails": strings.Replace(once, "PASS: TestOne", "FAIL: TestOne", 1)} {
		t.Run(name, func(t *testing.T) {
			r := result{job: machineJob}
			r.read(log, "")
			if said := strings.Count(r.String(), line); said != 1 {
				t.Errorf("it is printed %d times:\n%s", said, &r)
			}
		})
	}
}

func TestTables(t *testing.T) {
	r := &result{job: machineJob, seconds: 3.4}
	r.read(good, "")
	other := &result{job: job{kernel: &kernel{series: "6.1", arch: amd64}, mode: "syscall"}, instructions: map[string]int{"enter_fcntl": 12345}}
	for _, table := range [][2]string{
		{table([]*result{r}), "kernel     mode  attachment  passed  failed  seconds\n5.10    syscall  tracepoint       2       0        3\n"},
		{instructionTable([]*result{r, other}, "syscall"),
			"syscall mode  5.10    6.1\nenter_close    716      -\nenter_fcntl      -  12345\n"},
		{instructionTable([]*result{r, other}, "socket"), ""},
	} {
		var lines []string
		for line := range strings.Lines(table[0]) {
			lines = append(lines, strings.TrimRight(line, " \n")+"\n")
		}
		if got := strings.Join(lines, ""); got != table[1] {
			t.Errorf("got\n%s\nwant\n%s", got, table[1])
		}
	}
}

func TestKernelSets(t *testing.T) {
	for all, want := range map[bool][]string{
		false: {"5.10-syscall", "6.12-syscall", "6.12-socket", "7.2-syscall", "7.2-socket"},
		true: {
			"5.10-syscall", "6.1-syscall", "6.1-socket", "6.12-syscall", "6.12-socket", "7.2-syscall", "7.2-socket",
			"6.12-arm64-syscall", "6.12-arm64-socket",
		},
	} {
		jobs, err := jobsOf(&settings{whole: true, kernels: kernelNames(all)})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, j := range jobs {
			names = append(names, j.name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("all %v: %q, want %q", all, names, want)
		}
	}
}

func TestJobs(t *testing.T) {
	for name, test := range map[string]struct {
		settings settings
		want     []string
		patterns int // of the first job's tests
	}{
		"a mode": {settings{whole: true, kernels: []string{"5.10", "6.1"}, modes: []string{"syscall"}},
			[]string{"5.10-syscall", "6.1-syscall"}, len(syscalls)},
		"a test":   {settings{whole: true, kernels: []string{"5.10", "7.2"}, only: "TestDatagrams"}, []string{"7.2-socket"}, 1},
		"nothing":  {settings{whole: true, kernels: []string{"6.1"}, only: "TestNothing"}, nil, 0},
		"no such":  {settings{whole: true, kernels: []string{"2.4"}}, nil, 0},
		"all of 1": {settings{whole: true, kernels: []string{"6.1"}}, []string{"6.1-syscall", "6.1-socket"}, len(syscalls)},
		"CI":       {settings{kernels: []string{"6.12"}}, []string{"6.12-syscall", "6.12-socket"}, len(fewSyscalls)},
		"an architecture": {settings{whole: true, kernels: []string{"6.12", "6.12-arm64"}, modes: []string{"socket"}},
			[]string{"6.12-socket", "6.12-arm64-socket"}, len(sockets) + 1}, // kTLS
	} {
		t.Run(name, func(t *testing.T) {
			jobs, err := jobsOf(&test.settings)
			if (err != nil) != (test.want == nil) {
				t.Fatal(err)
			}
			var names []string
			for _, j := range jobs {
				names = append(names, j.name())
			}
			if !slices.Equal(names, test.want) {
				t.Errorf("%q, want %q", names, test.want)
			}
			if len(jobs) > 0 && len(jobs[0].tests) != test.patterns {
				t.Errorf("%d tests, want %d", len(jobs[0].tests), test.patterns)
			}
		})
	}
}
