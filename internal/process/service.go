package process

// nameService fills the service name from the first source that has one.
//
// An interpreter is named for itself, "python3" and not its script: what follows on its command line is no more
// reliable than a guess, and a process that wants a name of its own sets OTEL_SERVICE_NAME.
func (i *Info) nameService(environName, attributeName string) {
	candidates := [...]struct{ name, source string }{
		{environName, SourceServiceName}, // "takes precedence", says the specification, and empty is unset
		{attributeName, SourceResourceAttributes},
		{i.ContainerName, SourceContainer},
		{i.ExecutableName(), SourceExecutable},
		{i.Comm, SourceComm},
		{UnknownService, SourceUnknown},
	}
	for _, c := range candidates {
		if n := label(c.name); n != "" {
			i.ServiceName, i.ServiceNameSource = n, c.source
			return
		}
	}
}
