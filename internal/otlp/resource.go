package otlp

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/process"
)

// group collects what is told of one process in a batch.
type group struct {
	subject string // the process in a sentence
	records plog.LogRecordSlice
	spans   ptrace.SpanSlice
	// Resources are made when there is something to put under them.
	hasRecords, hasSpans bool
}

// texts are the resource attributes that are text, and unset where it is empty.
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

// describe writes a process as a resource. What a process says of itself comes last and only adds: a process cannot
// pass itself off as another.
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
		// The conventions prefer the list; the line is what people search for.
		to.PutStr(processCommandLine, strings.Join(p.CommandLine, " "))
		args := to.PutEmptySlice(processCommandArgs)
		args.EnsureCapacity(len(p.CommandLine))
		for _, arg := range p.CommandLine {
			args.AppendEmpty().SetStr(arg)
		}
	}
	for _, a := range p.ResourceAttributes {
		if v, found := to.GetOrPutEmpty(a.Key); !found {
			v.SetStr(a.Value)
		}
	}
}
