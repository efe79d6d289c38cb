package otlp

import "github.com/socketflow/socketflow/internal/process"

func curl() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 4242, Start: 1000}, Comm: "curl", Executable: "/usr/bin/curl",
		CommandLine: []string{"curl", "-u", "user:secret", "http://127.0.0.1/"},
		ServiceName: "curl", ServiceNameSource: process.SourceExecutable,
	}
}

func nginx() *process.Info {
	return &process.Info{
		ID: process.ID{PID: 77, Start: 900}, Comm: "nginx", Executable: "/usr/sbin/nginx",
		ServiceName: "frontend", ServiceNameSource: process.SourceServiceName,
		ResourceAttributes: []process.Attribute{
			{Key: "deployment.environment.name", Value: "staging"},
			{Key: "process.pid", Value: "1"}, // a claim that observation refutes
		},
	}
}
