//go:build amd64 || arm64

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// lockstep is a dialogue of requests whose lengths both ends know, one at a time.
type lockstep struct{ ask, answer func(i int) string }

// listen makes the server's socket, for so many requests.
func (d lockstep) listen(requests int) (netip.AddrPort, func() error, error) {
	listener, at, err := listenTCP()
	return at, func() error {
		served := make(chan error, 1)
		go func() { served <- d.serve(listener, requests) }()
		conn, err := net.Dial("tcp4", at.String())
		for i := 0; i < requests && err == nil; i++ {
			if _, err = io.WriteString(conn, d.ask(i)); err == nil {
				_, err = io.CopyN(io.Discard, conn, int64(len(d.answer(i))))
			}
		}
		if conn != nil {
			err = errors.Join(err, conn.Close())
		}
		return errors.Join(err, <-served, listener.Close())
	}, err
}

func (d lockstep) serve(listener net.Listener, requests int) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	for i := 0; i < requests && err == nil; i++ {
		if _, err = io.CopyN(io.Discard, conn, int64(len(d.ask(i)))); err == nil {
			_, err = io.WriteString(conn, d.answer(i))
		}
	}
	return errors.Join(err, conn.Close())
}

// memcachedSteps gets one key after the other, and finds each.
var memcachedSteps = lockstep{
	ask: func(i int) string { return fmt.Sprintf("get key:%06d\r\n", i) },
	answer: func(i int) string {
		return fmt.Sprintf("VALUE key:%06d 0 %d\r\n%s\r\nEND\r\n", i, len(redisValue), redisValue)
	},
}

// mongoSteps finds a document by its key.
var mongoSteps = lockstep{
	ask: func(i int) string {
		return mongoMessage(i+1, 0, "\x02find\x00"+mongoText("orders")+"\x03filter\x00"+mongoDocument("\x10_id\x00"+mongoNumber(i))+"\x10limit\x00"+mongoNumber(1)+"\x02$db\x00"+mongoText("shop"))
	},
	answer: func(i int) string {
		first := mongoDocument("\x030\x00" + mongoDocument("\x10_id\x00"+mongoNumber(i)+"\x02name\x00"+mongoText(redisValue)))
		cursor := mongoDocument("\x04firstBatch\x00" + first + "\x12id\x00" + mongoNumber(0) + mongoNumber(0) + "\x02ns\x00" + mongoText("shop.orders"))
		return mongoMessage(1<<20+i, i+1, "\x03cursor\x00"+cursor+"\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0\x3f")
	},
}

func mongoNumber(n int) string      { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func mongoText(s string) string     { return mongoNumber(len(s)+1) + s + "\x00" }
func mongoDocument(s string) string { return mongoNumber(len(s)+5) + s + "\x00" }

// mongoMessage is an OP_MSG with one document.
func mongoMessage(id, to int, elements string) string {
	const opMsg = 2013
	body := mongoNumber(0) + "\x00" + mongoDocument(elements)
	return mongoNumber(len(body)+16) + mongoNumber(id) + mongoNumber(to) + mongoNumber(opMsg) + body
}
