package otlp

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	otel "go.opentelemetry.io/otel/attribute"
	semconv112 "go.opentelemetry.io/otel/semconv/v1.12.0"
	semconv120 "go.opentelemetry.io/otel/semconv/v1.20.0"
	semconv126 "go.opentelemetry.io/otel/semconv/v1.26.0"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/socket"
)

func TestNamesAreThoseOfTheSemanticConventions(t *testing.T) {
	for name, key := range map[string]otel.Key{
		serviceName:           semconv.ServiceNameKey,
		processPID:            semconv.ProcessPIDKey,
		processExecutableName: semconv.ProcessExecutableNameKey,
		processExecutablePath: semconv.ProcessExecutablePathKey,
		serviceInstanceID:     semconv.ServiceInstanceIDKey,
		processCreationTime:   semconv.ProcessCreationTimeKey,
		processOwner:          semconv.ProcessOwnerKey,
		containerRuntimeName:  semconv.ContainerRuntimeNameKey,
		k8sContainerName:      semconv.K8SContainerNameKey,
		hostName:              semconv.HostNameKey,
		hostID:                semconv.HostIDKey,
		processCommandArgs:    semconv.ProcessCommandArgsKey,
		containerID:           semconv.ContainerIDKey,
		containerName:         semconv.ContainerNameKey,
		k8sPodUID:             semconv.K8SPodUIDKey,
		networkPeerAddress:    semconv.NetworkPeerAddressKey,
		networkPeerPort:       semconv.NetworkPeerPortKey,
		networkLocalAddress:   semconv.NetworkLocalAddressKey,
		networkLocalPort:      semconv.NetworkLocalPortKey,
		serverAddress:         semconv.ServerAddressKey,
		serverPort:            semconv.ServerPortKey,
		clientAddress:         semconv.ClientAddressKey,
		clientPort:            semconv.ClientPortKey,
		networkTransport:      semconv.NetworkTransportKey,
		networkType:           semconv.NetworkTypeKey,
		errorType:             semconv.ErrorTypeKey,
		tlsProtocolName:       semconv.TLSProtocolNameKey,
		tlsProtocolVersion:    semconv.TLSProtocolVersionKey,
		tlsCipher:             semconv.TLSCipherKey,
		tlsServerName:         semconv126.TLSClientServerNameKey,
		tlsNextProtocol:       semconv.TLSNextProtocolKey,
		tlsResumed:            semconv.TLSResumedKey,
		tlsEstablished:        semconv.TLSEstablishedKey,

		networkProtocolName:    semconv.NetworkProtocolNameKey,
		networkProtocolVersion: semconv.NetworkProtocolVersionKey,
		netProtocolName:        semconv120.NetProtocolNameKey,
		netProtocolVersion:     semconv120.NetProtocolVersionKey,

		netSockPeerAddr: semconv120.NetSockPeerAddrKey,
		netSockPeerPort: semconv120.NetSockPeerPortKey,
		netSockHostAddr: semconv120.NetSockHostAddrKey,
		netSockHostPort: semconv120.NetSockHostPortKey,
		netSockFamily:   semconv120.NetSockFamilyKey,
		netPeerName:     semconv120.NetPeerNameKey,
		netPeerPort:     semconv120.NetPeerPortKey,
		netHostName:     semconv120.NetHostNameKey,
		netHostPort:     semconv120.NetHostPortKey,
		netTransport:    semconv120.NetTransportKey,
		netPeerIP:       semconv112.NetPeerIPKey,
		netHostIP:       semconv112.NetHostIPKey,
		httpFlavor:      semconv112.HTTPFlavorKey,
		httpHost:        semconv112.HTTPHostKey,
		httpClientIP:    semconv120.HTTPClientIPKey,
	} {
		if name != string(key) {
			t.Errorf("%s is %s", name, key)
		}
	}
}

func TestValuesAreThoseOfTheSemanticConventions(t *testing.T) {
	for _, pair := range [...]struct {
		got  string
		want otel.KeyValue
	}{
		{"tcp", semconv.NetworkTransportTCP},
		{"udp", semconv.NetworkTransportUDP},
		{"unix", semconv.NetworkTransportUnix},
		{"ipv4", semconv.NetworkTypeIPv4},
		{"ipv6", semconv.NetworkTypeIPv6},
		{"ip_tcp", semconv120.NetTransportTCP},
		{"ip_udp", semconv120.NetTransportUDP},
		{"unix", semconv112.NetTransportUnix},
		{"other", semconv120.NetTransportOther},
		{"inet", semconv120.NetSockFamilyInet},
		{"inet6", semconv120.NetSockFamilyInet6},
		{"unix", semconv120.NetSockFamilyUnix},
		{otherError, semconv.ErrorTypeOther},
	} {
		if pair.got != pair.want.Value.AsString() {
			t.Errorf("%s is %s", pair.got, pair.want.Value.AsString())
		}
	}
}

// everything is the set of all conditions.
const everything = hasTLSEstablished<<1 - 1

func TestNoSetOfConditionsWritesAKeyTwice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, wanted := range []AddressAttributes{AddressBoth, AddressStable, AddressV120, AddressV112} {
		all := newAttrLayouts(wanted)
		for range 20_000 {
			known := conditions(random.Uint64()) & everything
			s := all.of(known)
			seen := make(map[string]bool)
			for key := range s.keys.All() {
				if seen[key] {
					t.Fatalf("conditions %#x: %s is there twice", known, key)
				}
				seen[key] = true
			}
			if len(seen) != len(s.puts) {
				t.Fatalf("conditions %#x: %d keys, %d values", known, len(seen), len(s.puts))
			}
			clear(all.byConditions)
		}
	}
}

func TestBothIsTheStableAttributesAndEightEarlierOnes(t *testing.T) {
	written := func(wanted AddressAttributes) map[string]bool {
		all := newAttrLayouts(wanted)
		keys := map[string]bool{}
		for _, side := range []conditions{isClient, isServer} {
			for key := range all.of(everything&^(isClient|isServer) | side).keys.All() {
				keys[key] = true
			}
		}
		return keys
	}
	both := written(AddressBoth)
	for key := range written(AddressStable) {
		if !both[key] {
			t.Errorf("%s is missing", key)
		}
		delete(both, key)
	}
	want := []string{
		netHostName, netHostPort, netPeerName, netPeerPort, netSockHostAddr, netSockHostPort, netSockPeerAddr, netSockPeerPort,
	}
	if got := slices.Sorted(maps.Keys(both)); !slices.Equal(got, want) {
		t.Errorf("beside the stable attributes: %v", got)
	}
}

func TestEarlierConventionsHaveNoLaterAttributes(t *testing.T) {
	for wanted, later := range map[AddressAttributes][]string{
		AddressV120: {"network.", "server.", "client.", netPeerIP, netHostIP, httpFlavor, httpHost},
		AddressV112: {"network.", "server.", "client.", "net.sock.", "net.protocol."},
	} {
		all := newAttrLayouts(wanted)
		for key := range all.of(everything).keys.All() {
			if slices.ContainsFunc(later, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
				t.Errorf("%s in %d", key, wanted)
			}
		}
	}
}

func TestAValueWithoutANameIsUnknown(t *testing.T) {
	c := connect(ended(ways, sides, 0))
	c.RoleSource, c.AddressSource, c.Capture, c.Role, c.Transport = 99, 99, 99, 99, 99
	b := newBuilder(Options{})
	b.Opened(c)
	b.Closed(c)
	b.Failed(c)
	logs, _ := b.Take()
	for _, key := range []string{roleSource, addressSource, capture, endHow, endBy} {
		if v, _ := recordsOf(logs)[1].Attributes().Get(key); v.Str() != "unknown" {
			t.Errorf("%s is %q", key, v.Str())
		}
	}
	if v, _ := recordsOf(logs)[2].Attributes().Get(errorType); v.Str() != otherError {
		t.Errorf("%s is %q", errorType, v.Str())
	}
}

// A reset of a connection on which all is said is none.
func TestResetOfAnAnsweredConnectionIsNoError(t *testing.T) {
	for way, want := range map[socket.Way]string{socket.WayRST: "", socket.WayTimeout: "ETIMEDOUT"} {
		connection := socket.Connection{End: socket.End{Way: way, By: socket.SideRemote}, Answered: true}
		if got := errorOfClosing(&connection).name; got != want {
			t.Errorf("ended by %d: %q, want %q", way, got, want)
		}
	}
}

func TestErrorsOfEndings(t *testing.T) {
	const pipe, hostUnreachable, notInTheTable = 32, 113, 4095
	for _, c := range []struct {
		name            string
		end             socket.End
		number          uint32
		closing, failed string
	}{
		{"in good order", socket.End{Way: socket.WayFIN, By: socket.SideLocal}, 0, "", "_OTHER"},
		{"end not seen", socket.End{}, 0, "", "_OTHER"},
		{"reset by remote", socket.End{Way: socket.WayRST, By: socket.SideRemote}, 0, "ECONNRESET", "ECONNREFUSED"},
		{"reset by remote after its FIN", socket.End{Way: socket.WayRST, By: socket.SideRemote}, pipe, "EPIPE", "EPIPE"},
		{"reset by local", socket.End{Way: socket.WayRST, By: socket.SideLocal}, 0, "", "ECONNREFUSED"},
		{"reset by somebody", socket.End{Way: socket.WayRST}, 0, "", "ECONNREFUSED"},
		{"timeout", socket.End{Way: socket.WayTimeout}, 0, "ETIMEDOUT", "ETIMEDOUT"},
		{
			"timeout after an ICMP error", socket.End{Way: socket.WayTimeout}, hostUnreachable,
			"EHOSTUNREACH", "EHOSTUNREACH",
		},
		{"error", socket.End{Way: socket.WayError}, 0, "_OTHER", "_OTHER"},
		{"error without a name", socket.End{Way: socket.WayError}, notInTheTable, "4095", "4095"},
		{"idle", socket.End{Way: socket.WayIdle}, 0, "", "_OTHER"},
		{"given up", socket.End{Way: socket.WayCanceled, By: socket.SideLocal}, 0, "", "canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			connection := socket.Connection{End: c.end, Errno: c.number}
			if got := errorOfClosing(&connection).name; got != c.closing {
				t.Errorf("a connection ends with %q, want %q", got, c.closing)
			}
			if got := errorOfFailure(&connection).name; got != c.failed {
				t.Errorf("an attempt ends with %q, want %q", got, c.failed)
			}
		})
	}
}
