package socket

import (
	"path"

	"github.com/socketflow/socketflow/internal/process"
)

// immediate are the executables whose event loops act on what they have received before they receive more, as measured: docs/causality.md.
var immediate = map[string]bool{"node": true, "nodejs": true, "nginx": true}

// gathering are those of them that receive all requests of a connection that there are, and act on them then, if these come in each other's midst.
var gathering = map[string]bool{"nginx": true}

// proxies are the executables that send on what they receive, and do not do so at once.
var proxies = map[string]bool{"haproxy": true}

// forwards reports whether a process is one of them.
func forwards(p *process.Info) bool { return proxies[path.Base(p.Executable)] }

// gathers reports whether a process is one of them.
func gathers(p *process.Info) bool { return gathering[path.Base(p.Executable)] }

// actsAtOnce reports whether a process is one of them.
func actsAtOnce(p *process.Info) bool { return immediate[path.Base(p.Executable)] }
