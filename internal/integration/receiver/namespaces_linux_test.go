package receiver_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/receiver"
)

// network makes network namespaces, by the programs of iproute2.
type network struct {
	t  *testing.T
	ip string // program
	n  int    // namespaces

	scenarios *scenarioRunner
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	needPrivilege(t)
	return &network{t: t, ip: testenv.NeedProgram(t, "iproute2", "ip"), scenarios: newScenarioRunner(t)}
}

func (n *network) run(words string) {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), n.ip, strings.Fields(words)...).CombinedOutput()
	require.NoError(n.t, err, "ip %s: %s", words, out)
}

// namespace makes a namespace, and returns its name.
func (n *network) namespace() string {
	n.t.Helper()
	n.n++
	name := fmt.Sprintf("socketflow-%d-%d", os.Getpid(), n.n)
	n.run("netns add " + name)
	n.t.Cleanup(func() {
		out, err := exec.Command(n.ip, "netns", "del", name).CombinedOutput() //nolint:noctx // the test's context has ended
		assert.NoError(n.t, err, "%s", out)
	})
	n.run("-n " + name + " link set lo up")
	return name
}

// bridge makes a namespace with a bridge in it that has an address, with the length of the prefix.
func (n *network) bridge(address string) string {
	n.t.Helper()
	name := n.namespace()
	n.run("-n " + name + " link add bridge type bridge")
	n.run("-n " + name + " address add " + address + " dev bridge")
	n.run("-n " + name + " link set bridge up")
	return name
}

// container makes a namespace with an address that is connected to a bridge.
func (n *network) container(bridge, address string) string {
	n.t.Helper()
	name, port := n.namespace(), "port"+strconv.Itoa(n.n)
	n.run("link add eth0 netns " + name + " type veth peer name " + port + " netns " + bridge)
	n.run("-n " + bridge + " link set " + port + " master bridge up")
	n.run("-n " + name + " address add " + address + " dev eth0")
	n.run("-n " + name + " link set eth0 up")
	return name
}

// in runs a scenario in a namespace. The process stays the one that is started.
func (n *network) in(namespace, scenario string, args ...string) *workload.Run {
	n.t.Helper()
	cmd := workload.Command(limited(n.t), "scenario", append([]string{scenario}, args...)...)
	cmd.Args = append([]string{n.ip, "netns", "exec", namespace, n.scenarios.executable}, cmd.Args[1:]...)
	cmd.Path = n.ip
	return begin(n.t, cmd)
}

// ports is how many ephemeral ports a namespace has: as many as connections are opened, so that two namespaces use the same
// ports. The kernel demands an even number (__inet_hash_connect).
const ports = 4

// fewPorts leaves a namespace so many ephemeral ports.
func (n *network) fewPorts(namespace string) {
	n.t.Helper()
	n.run(fmt.Sprintf("netns exec %s sh -c echo${IFS}40000${IFS}%d>/proc/sys/net/ipv4/ip_local_port_range", namespace, 40000+ports-1))
}

// Connections that leave a network namespace have their source address in that namespace, although no call shows it. Connections
// with the same addresses in several namespaces stay apart.
func TestNamespacesStayApart(t *testing.T) {
	const server, first, second = "10.114.0.1", "10.114.0.2", "10.114.0.3"
	eachMode(t, func(t *testing.T, mode receiver.Mode) {
		for _, test := range []struct {
			name      string
			addresses [2]string // of the containers
			bridges   int
		}{
			{"different addresses", [...]string{first, second}, 1},
			{"the same addresses", [...]string{first, first}, 2},
		} {
			t.Run(test.name, func(t *testing.T) {
				n := newNetwork(t)
				var bridges, containers []string
				for range test.bridges {
					bridges = append(bridges, n.bridge(server+"/24"))
				}
				for i, address := range test.addresses {
					containers = append(containers, n.container(bridges[i%test.bridges], address+"/24"))
					n.fewPorts(containers[i])
				}
				o := observe(t, mode, n.scenarios.only(nil))
				flows := converseAcross(t, o, n, bridges, containers, server+":258")
				assert.Zero(t, o.awaitFlows(flows))
				o.shutdown(t)
				o.verifyFlows(t, flows, workload.TCP)
				for _, f := range o.emittedFlows(&findings{}, flowPIDs(flows), []workload.Transport{workload.TCP}) {
					assert.NotNil(t, get(f.attributes(), "socketflow.netns"), "%s: network namespace", f)
				}
				assertApart(t, flows, test.addresses)
			})
		}
	})
}

// converseAcross has each container open connections to its bridge, all of them open at the same time.
func converseAcross(t *testing.T, o *observation, n *network, bridges, containers []string, server string) []workload.Flow {
	t.Helper()
	var incoming, outgoing []*workload.Run
	for _, bridge := range bridges {
		run := n.in(bridge, "incoming", server, strconv.Itoa(ports*len(containers)/len(bridges)))
		pass(t, run, "listening")
		incoming = append(incoming, run)
	}
	for _, container := range containers {
		run := n.in(container, "outgoing", server, strconv.Itoa(ports))
		require.NoError(t, run.Await("exchanged"))
		outgoing = append(outgoing, run)
	}
	for _, run := range outgoing {
		o.awaitOpened(t, run.PID(), ports)
	}
	var flows []workload.Flow
	for _, run := range incoming {
		pass(t, run, "served")
	}
	for _, run := range outgoing {
		require.NoError(t, run.Continue())
		flows = append(flows, flowsOf(t, run)...)
	}
	for _, run := range incoming {
		flows = append(flows, flowsOf(t, run)...)
	}
	return flows
}

// assertApart checks that the workload did what the test is about.
func assertApart(t *testing.T, flows []workload.Flow, addresses [2]string) {
	t.Helper()
	sources := map[string]int{}
	namespaces := map[uint64]bool{}
	for i := range flows {
		if flows[i].Role == workload.Client {
			sources[flows[i].Local.String()]++
			namespaces[flows[i].NetNS] = true
		}
	}
	assert.Len(t, namespaces, len(addresses))
	want := map[string]int{}
	for _, address := range addresses {
		for port := range ports {
			want[address+":"+strconv.Itoa(40000+port)]++
		}
	}
	assert.Equal(t, want, sources)
}
