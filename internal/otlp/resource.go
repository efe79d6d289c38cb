package otlp

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/process"
)

// resourceKeys are the resource attributes, in the order in which they are written. One without a value is absent.
var resourceKeys = [...]struct {
	key  string
	text func(*process.Info, *process.Host) string // nil: not a string
}{
	{serviceName, func(p *process.Info, _ *process.Host) string { return p.ServiceName }},
	{serviceSource, func(p *process.Info, _ *process.Host) string { return p.ServiceNameSource }},
	{serviceInstanceID, func(p *process.Info, _ *process.Host) string { return p.InstanceID }},
	{processPID, nil},
	{processCreationTime, func(p *process.Info, _ *process.Host) string { return timeText(p.CreatedAt) }},
	{processOwner, func(p *process.Info, _ *process.Host) string { return p.Owner }},
	{processExecutableName, func(p *process.Info, _ *process.Host) string { return p.ExecutableName() }},
	{processExecutablePath, func(p *process.Info, _ *process.Host) string { return executablePath(p) }},
	{processCommandArgs, nil},
	{containerID, func(p *process.Info, _ *process.Host) string { return p.ContainerID }},
	{containerName, func(p *process.Info, _ *process.Host) string { return p.ContainerName }},
	{containerRuntimeName, func(p *process.Info, _ *process.Host) string { return p.ContainerRuntime }},
	{k8sPodUID, func(p *process.Info, _ *process.Host) string { return p.PodUID }},
	{k8sContainerName, func(p *process.Info, _ *process.Host) string { return p.PodContainer }},
	{hostName, func(_ *process.Info, h *process.Host) string { return h.Name }},
	{hostID, func(_ *process.Info, h *process.Host) string { return h.ID }},
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// executablePath shows by three dots that the beginning of a path is not known.
func executablePath(p *process.Info) string {
	if p.ExecutableCut && p.Executable != "" {
		return "..." + p.Executable
	}
	return p.Executable
}

func (b *Builder) describe(p *process.Info, to pcommon.Map) {
	describe(p, &b.options.Host, b.omitted, &b.bound, to)
}

// describe writes the resource attributes of a process. Attributes that the process itself declares come last and replace
// nothing, nor do they stand for an attribute that is not wanted: a process cannot pretend to be another. Long values are cut.
func describe(p *process.Info, host *process.Host, omitted map[string]bool, bound *bound, to pcommon.Map) {
	to.EnsureCapacity(len(resourceKeys) + len(p.ResourceAttributes))
	for i := range resourceKeys {
		k := &resourceKeys[i]
		switch {
		case omitted[k.key]:
		case k.text != nil:
			if text := k.text(p, host); text != "" {
				to.PutStr(k.key, text)
			}
		case k.key == processPID && p.PID != 0:
			to.PutInt(k.key, int64(p.PID))
		case k.key == processCommandArgs && len(p.CommandLine) > 0:
			args := to.PutEmptySlice(k.key)
			args.EnsureCapacity(len(p.CommandLine))
			for _, arg := range p.CommandLine {
				args.AppendEmpty().SetStr(arg)
			}
			if p.CommandLineCut {
				bound.note(k.key)
			}
		}
	}
	for _, a := range p.ResourceAttributes {
		if omitted[a.Key] {
			continue
		}
		if v, found := to.GetOrPutEmpty(sound(a.Key)); !found {
			v.SetStr(a.Value)
			if a.Cut {
				bound.note(sound(a.Key))
			}
		}
	}
	bound.all(to)
}

// omittedKeys are the keys of a resource that are not emitted.
func omittedKeys(keys []string) map[string]bool {
	omitted := make(map[string]bool, len(keys))
	for _, key := range keys {
		omitted[key] = true
	}
	return omitted
}
