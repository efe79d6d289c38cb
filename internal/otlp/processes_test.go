package otlp

import (
	"time"

	"github.com/socketflow/socketflow/internal/process"
)

func curl() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 4242, Start: 1000}, Comm: "curl", Executable: "/usr/bin/curl",
		CommandLine: []string{"curl", "--user", "a b", "http://127.0.0.1/"},
		ServiceName: "curl", ServiceNameSource: process.SourceExecutable,
	}
}

func nginx() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 77, Start: 900}, Comm: "nginx", Executable: "/usr/sbin/nginx",
		ServiceName: "frontend", ServiceNameSource: process.SourceServiceName,
		ResourceAttributes: []process.Attribute{
			{Key: "deployment.environment.name", Value: "staging"},
			{Key: "service.version", Value: "1.2.3"},
		},
	}
}

// redis runs in a pod, and claims things of itself that were observed to be otherwise.
func redis() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 991, Start: 800}, Comm: "redis-server", Executable: "/usr/bin/redis-server",
		ServiceName: "cache", ServiceNameSource: process.SourceContainer,
		ContainerID:   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		ContainerName: "cache", PodUID: "5f0c8e3e-2d1b-4c7a-9e6f-0a1b2c3d4e5f",
		ResourceAttributes: []process.Attribute{
			{Key: "process.pid", Value: "1"},
			{Key: "container.id", Value: "another"},
			{Key: "service.name", Value: "another"},
			{Key: "team", Value: "storage"},
		},
	}
}

// described is a process of which all is known, but for the beginning of its path. It declares an attribute that is not wanted.
func described() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 55, Start: 600}, Comm: "app", Executable: "/d/bin/app", ExecutableCut: true,
		CommandLine: []string{"app", "-c", "a b"},
		CreatedAt:   time.Date(2026, 1, 2, 3, 4, 5, 670_000_000, time.UTC), Owner: "www-data",
		InstanceID:  "627cc493-f310-47de-96bd-71410b7dec09",
		ServiceName: "shop", ServiceNameSource: process.SourceServiceName,
		ContainerID:   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		ContainerName: "app", ContainerRuntime: "containerd", PodUID: "5f0c8e3e-2d1b-4c7a-9e6f-0a1b2c3d4e5f", PodContainer: "app",
		ResourceAttributes: []process.Attribute{{Key: "container.id", Value: "mine"}, {Key: "host.name", Value: "mine"}},
	}
}

// gone ended before anything but its pid and its name was read.
func gone() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 31337, Start: 700}, Comm: "short", ServiceName: "short",
		ServiceNameSource: process.SourceComm,
	}
}

func unknownOwner() *process.Info {
	return &process.Info{ServiceName: process.UnknownService, ServiceNameSource: process.SourceUnknown}
}
