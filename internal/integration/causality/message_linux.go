package main

import (
	"encoding/binary"
	"fmt"
)

// frameHead is the length of what precedes a gRPC message: whether it is compressed, and its length.
const frameHead = 5

// frame is a gRPC message with its head.
func frame(message string) []byte {
	text := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(text, message...)
}

// unframe is the one message of a response.
func unframe(text []byte) (string, error) {
	if len(text) < frameHead || text[0] != 0 || int(binary.BigEndian.Uint32(text[1:])) != len(text)-frameHead {
		return "", fmt.Errorf("no gRPC message: %q", text)
	}
	return string(text[frameHead:]), nil
}
