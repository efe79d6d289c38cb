//go:build !linux

package procfs

import "errors"

func (*Resolver) listsByDiag() bool           { return false }
func (*Resolver) noticeDiag(error) bool       { return false }
func (*Resolver) diag(*reading, uint32) error { return errors.ErrUnsupported }
