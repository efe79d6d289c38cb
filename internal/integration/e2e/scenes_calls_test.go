//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	sources["calls"] = struct{ dir, build string }{"grpc", "go build -o OUTPUT ./calls"}
	protocolScenes = append(protocolScenes, callScenes...)
}

// callScenes are implementations of gRPC. Each cuts messages into frames, and frames into system calls, in its own way.
var callScenes = []struct {
	name string
	play func(*scene)
}{
	{"calls-go", largeCalls(callSizes, func(s *scene, role, address string) *exec.Cmd { return s.command("calls "+role+" "+address, "", 0) })},
	{"calls-python", largeCalls(callSizes, func(s *scene, role, address string) *exec.Cmd {
		cmd := s.command("python3 calls.py "+role+" "+address, "", 0)
		cmd.Path = testenv.NeedProgram(s.t, "python3-grpcio", "/usr/bin/python3") // the interpreter that has Debian's packages
		cmd.Args[0] = cmd.Path
		return cmd
	})},
	{"calls-node", largeCalls(callSizes, func(s *scene, role, address string) *exec.Cmd { return s.npm("npm", "calls.js", role, address) })},
}

// callSizes are the sizes of messages, in bytes.
var callSizes = []int{200_000, 300_000, 1 << 20, 4 << 20, 16 << 20}

// largeCalls are calls with large requests, and with large responses, and small ones between them.
func largeCalls(all []int, command func(s *scene, role, address string) *exec.Cmd) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		s.serve(command(s, "server", loopback(port)), port)
		var plan []string
		for _, size := range all {
			for _, sizes := range [][2]int{{8, 8}, {size, 8}, {8, 8}, {8, size}, {20, 100}, {size, size}, {8, 0}} {
				plan = append(plan, fmt.Sprint(sizes[0], " ", sizes[1]))
			}
		}
		s.ask(command(s, "client", loopback(port)), plan)
	}
}
