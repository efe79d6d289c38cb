package receiver

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.uber.org/zap"
)

// warnOfLinks logs the selectors whose executable is a link on this host, or lies behind one (/bin/sh). A process has the path that the link
// leads to, so that such a selector matches only where the path is none: in a container.
func (c *Config) warnOfLinks(logger *zap.Logger) {
	for _, list := range []struct {
		key       string
		selectors []Selector
	}{{"include", c.Include}, {"exclude", c.Exclude}} {
		for i := range list.selectors {
			path := list.selectors[i].Executable
			if path == "" || strings.ContainsAny(path, `*?[{\`) {
				continue
			}
			if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
				logger.Warn("the executable of a selector is a link, and matches no process of this host; write the path that it leads to",
					zap.String("key", fmt.Sprintf("%s::%d::executable", list.key, i)), zap.String("written", path), zap.String("write", target))
			}
		}
	}
}
