package process

// nameService fills the service name from the first source that has one.
//
// An interpreter gets its own name, "python3", and not that of its script: a name from the command line would be a guess. A
// process that needs another name sets OTEL_SERVICE_NAME.
func (i *Info) nameService(environName, attributeName string) {
	candidates := [...]struct{ name, source string }{
		{environName, SourceServiceName}, // the specification says that it takes precedence, and that empty is unset
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
