//go:build linux && (amd64 || arm64)

package kernel

import "github.com/socketflow/socketflow/internal/event"

// Raw is the record that Next has decoded last, as the kernel wrote it; valid until the next call. It begins at a multiple
// of 8 bytes.
func (r *Reader) Raw() []byte { return r.record }

// Decode reads a record into e and overwrites all of e. The record has to begin at a multiple of 8 bytes. The payload is not
// copied: it stays in raw.
func Decode(raw []byte, e *event.Event) error { return decode(raw, e) }
