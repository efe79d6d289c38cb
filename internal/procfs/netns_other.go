//go:build !linux

package procfs

import "errors"

// inNetNS: only Linux has network namespaces.
func inNetNS(string, uint32, func() error) error { return errors.ErrUnsupported }
