package otlp

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/process"
)

// texts are the resource attributes of type string. They are absent if empty.
var texts = [...]struct {
	key  string
	text func(*process.Info) string
}{
	{processExecutableName, (*process.Info).ExecutableName},
	{processExecutablePath, func(p *process.Info) string { return p.Executable }},
	{containerID, func(p *process.Info) string { return p.ContainerID }},
	{containerName, func(p *process.Info) string { return p.ContainerName }},
	{k8sPodUID, func(p *process.Info) string { return p.PodUID }},
}

// describe writes the resource attributes of a process. Attributes that the process itself declares come last and replace
// nothing: a process cannot pretend to be another.
func describe(p *process.Info, commandLine bool, to pcommon.Map) {
	if p.PID == 0 {
		to.PutStr(serviceName, process.UnknownService)
		return
	}
	to.EnsureCapacity(2 + len(texts) + 2 + len(p.ResourceAttributes))
	to.PutStr(serviceName, p.ServiceName)
	to.PutInt(processPID, int64(p.PID))
	for _, a := range texts {
		if text := a.text(p); text != "" {
			to.PutStr(a.key, text)
		}
	}
	if commandLine && len(p.CommandLine) > 0 {
		// The conventions prefer the list; users search for the line.
		to.PutStr(processCommandLine, strings.Join(p.CommandLine, " "))
		args := to.PutEmptySlice(processCommandArgs)
		args.EnsureCapacity(len(p.CommandLine))
		for _, arg := range p.CommandLine {
			args.AppendEmpty().SetStr(arg)
		}
	}
	for _, a := range p.ResourceAttributes {
		if v, found := to.GetOrPutEmpty(sound(a.Key)); !found {
			v.SetStr(a.Value)
		}
	}
}
