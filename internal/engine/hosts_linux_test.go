//go:build amd64 || arm64

package engine_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/testenv"
)

// host is a network namespace.
type host struct{ name string }

// The addresses of two hosts and of what is between them. A client reaches the server's port under another address and another port, and
// the server sees the address of what is between.
const (
	clientAddress = "10.77.1.2"
	publicAddress = "10.77.1.1"
	publicPort    = 9000
	serverAddress = "10.77.2.2"
	serverPort    = 9001
	serversPeer   = "10.77.2.1"
)

// newHosts returns two hosts with a NAT for both addresses between them.
func newHosts(t *testing.T) (client, server host) {
	t.Helper()
	testenv.NeedRoot(t, "network namespaces")
	ip, nft := testenv.NeedProgram(t, "iproute2", "ip", "/usr/sbin/ip"), testenv.NeedProgram(t, "nftables", "nft", "/usr/sbin/nft")
	hosts := map[string]host{}
	for _, of := range []string{"client", "nat", "server"} {
		h := host{fmt.Sprintf("socketflow-%d-%s", os.Getpid(), of)}
		run(t, ip, "netns add "+h.name)
		t.Cleanup(func() { run(t, ip, "netns del "+h.name) })
		run(t, ip, "-n "+h.name+" link set lo up")
		hosts[of] = h
	}
	client, server = hosts["client"], hosts["server"]
	for _, link := range []struct {
		at               host
		network          string
		end, other, side string
	}{{client, "10.77.1", "2", "1", "front"}, {server, "10.77.2", "2", "1", "back"}} {
		nat := hosts["nat"].name
		run(t, ip, "-n "+link.at.name+" link add eth0 type veth peer name "+link.side+" netns "+nat)
		run(t, ip, "-n "+link.at.name+" address add "+link.network+"."+link.end+"/24 dev eth0")
		run(t, ip, "-n "+nat+" address add "+link.network+"."+link.other+"/24 dev "+link.side)
		run(t, ip, "-n "+link.at.name+" link set eth0 up")
		run(t, ip, "-n "+nat+" link set "+link.side+" up")
		run(t, ip, "-n "+link.at.name+" route add default via "+link.network+"."+link.other)
	}
	hosts["nat"].do(t, func() { setSysctl(t, "ipv4/ip_forward", "1") })
	rules := fmt.Sprintf(`table ip nat {
		chain before { type nat hook prerouting priority dstnat; tcp dport %d dnat to %s:%d; }
		chain behind { type nat hook postrouting priority srcnat; masquerade; }
	}`, publicPort, serverAddress, serverPort)
	apply := exec.CommandContext(t.Context(), ip, "netns", "exec", hosts["nat"].name, nft, "-f", "-")
	apply.Stdin = strings.NewReader(rules)
	output, err := apply.CombinedOutput()
	require.NoError(t, err, string(output))
	return client, server
}

func run(t *testing.T, program, arguments string) {
	t.Helper()
	output, err := exec.CommandContext(context.WithoutCancel(t.Context()), program, strings.Fields(arguments)...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", program, arguments, output)
}

// do calls f on the host. Sockets that f makes stay there. f must not end the test.
func (h host) do(t *testing.T, f func()) {
	t.Helper()
	entered := make(chan error, 1)
	go func() { // the thread ends with the goroutine, because it stays locked
		runtime.LockOSThread()
		defer close(entered)
		err := h.enter()
		if err == nil {
			f()
		}
		entered <- err
	}()
	require.NoError(t, <-entered)
}

// enter takes the calling thread to the host.
func (h host) enter() error {
	namespace, err := os.Open("/run/netns/" + h.name)
	if err != nil {
		return err
	}
	defer namespace.Close() //nolint:errcheck // nothing was written
	return unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
}

func (h host) listen(t *testing.T, config net.ListenConfig, address string) (listener net.Listener) {
	t.Helper()
	var err error
	h.do(t, func() { listener, err = config.Listen(t.Context(), "tcp", address) })
	require.NoError(t, err)
	return listener
}

// dial connects to the server's public address.
func (h host) dial(t *testing.T, dialer net.Dialer) (client net.Conn) {
	t.Helper()
	var err error
	h.do(t, func() {
		client, err = dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("%s:%d", publicAddress, publicPort))
	})
	require.NoError(t, err)
	return client
}
