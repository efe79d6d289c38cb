//go:build amd64 || arm64

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// The stream: messages in DATA frames of the size that HTTP/2 begins with (RFC 9113, 4.2), each message in one call.
const (
	framePreface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader   = 9
	framePayload  = 16 << 10
	messageBytes  = 1 << 20
	frameMessages = 200
)

// framesForm is the form of HTTP/2's frames: of DATA the body is not wanted.
var framesForm = event.FrameForm{Header: frameHeader, LengthWidth: 3, TypeOffset: 3, Unwanted: 1}

// measureFrames measures a stream of messages over HTTP/2 with and without knowledge of its frames in the kernel.
func measureFrames(s *settings) error {
	whole := kernel.Signature{Prefix: []byte(framePreface[:kernel.SignatureBytes])}
	hopping := whole
	hopping.Frames, hopping.First = [2]event.FrameForm{framesForm, framesForm}, [2]uint64{uint64(len(framePreface)), 0}
	c, err := compare([]arm{
		{"no programs", func() ([]float64, error) { return streamMessages(nil) }},
		{"calls captured to their limit of 256 KiB, as before frames were known", func() ([]float64, error) { return observeMessages(whole) }},
		{"headers of frames captured", func() ([]float64, error) { return observeMessages(hopping) }},
	}, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("Kernel, a stream of %d messages of 1 MiB over HTTP/2, each written in one call, in frames of 16 KiB; both ends, medians of "+
		"%d rounds (least to most):\n\n", frameMessages, s.rounds)
	fmt.Println("| | bytes captured per message | µs of processor per message, reader of the ring included | ratio |")
	fmt.Println("|---|---:|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s | %s | %s | %s |\n", a.name, c.value(i, 0).format(0), c.value(i, 1).format(0), c.ratio(i, 1).format(2))
	}
	fmt.Println()
	return nil
}

func observeMessages(signature kernel.Signature) (figures []float64, err error) {
	options := everything
	options.Signatures, options.SignatureBurst = []kernel.Signature{signature}, 1<<30
	tracer, err := kernel.OpenSockets(options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tracer.Close()) }()
	return streamMessages(tracer)
}

// streamMessages returns the bytes that were captured of each message, and the processor's time for each, in microseconds.
func streamMessages(tracer *kernel.SocketTracer) ([]float64, error) {
	listener, at, err := listenTCP()
	if err != nil {
		return nil, err
	}
	captured := make(chan uint64, 1)
	if tracer != nil {
		go func() { captured <- countCaptured(tracer.Readers()[0], at.Port()) }()
	} else {
		captured <- 0
	}
	began := processorTime()
	received := make(chan error, 1)
	go func() { received <- swallow(listener) }()
	conn, err := net.Dial("tcp4", at.String())
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(conn, framePreface)
	message := frames()
	for i := 0; i < frameMessages && err == nil; i++ {
		_, err = conn.Write(message)
	}
	if err := errors.Join(err, conn.Close(), <-received); err != nil {
		return nil, err
	}
	if tracer != nil {
		if err := errors.Join(tracer.Detach(), tracer.Readers()[0].Flush()); err != nil {
			return nil, err
		}
	}
	n := <-captured
	took := processorTime() - began
	return []float64{float64(n) / frameMessages, float64(took) / float64(time.Microsecond) / frameMessages}, nil
}

// frames is a message.
func frames() (b []byte) {
	for range messageBytes / framePayload {
		header := binary.BigEndian.AppendUint32(nil, framePayload<<8) // length, and the type DATA
		header = binary.BigEndian.AppendUint32(append(header, 0), 1)  // no flags, stream 1
		b = append(append(b, header...), make([]byte, framePayload)...)
	}
	return b
}

// swallow reads a connection to its end, as much as there is at a time.
func swallow(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	buffer := make([]byte, 256<<10)
	for err == nil {
		_, err = conn.Read(buffer)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, conn.Close(), listener.Close())
}

// countCaptured counts the bytes that were captured of connections to a port, until all events have been read.
func countCaptured(reader *kernel.Reader, port uint16) (n uint64) {
	var e event.Event
	ours := map[uint64]bool{}
	for {
		if err := reader.Next(&e); err != nil {
			return n
		}
		if e.Flow.Local.Port() == port || e.Flow.Remote.Port() == port {
			ours[e.Flow.Cookie] = true
		}
		if e.Kind == event.KindData && ours[e.Flow.Cookie] {
			n += uint64(len(e.Data.Payload))
		}
	}
}
