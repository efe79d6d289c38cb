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

// pgDialogue is one in PostgreSQL's protocol.
type pgDialogue struct {
	begin  string // what the client sends before the statements, behind its startup
	begun  string // the answer
	ask    func(i int) string
	answer string // to each
}

// pgMessage is a message.
func pgMessage(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))) + body
}

var (
	pgReady  = pgMessage('Z', "I")
	pgSync   = pgMessage('S', "")
	pgRow    = pgMessage('D', "\x00\x01\x00\x00\x00\x040123") + pgMessage('C', "SELECT 1\x00") + pgReady
	pgSimple = pgDialogue{
		ask: func(i int) string {
			return pgMessage('Q', fmt.Sprintf("SELECT abalance FROM pgbench_accounts WHERE aid = %06d;\x00", i))
		},
		answer: pgMessage('T', "\x00\x01abalance\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00") + pgRow,
	}
	pgPrepared = pgDialogue{
		begin: pgMessage('P', "P0\x00SELECT abalance FROM pgbench_accounts WHERE aid = $1;\x00\x00\x00") + pgSync,
		begun: pgMessage('1', "") + pgReady,
		ask: func(i int) string {
			return pgMessage('B', fmt.Sprintf("\x00P0\x00\x00\x00\x00\x01\x00\x00\x00\x06%06d\x00\x00", i)) + pgMessage('E', "\x00\x00\x00\x00\x00") + pgSync
		},
		answer: pgMessage('2', "") + pgRow,
	}
)

const pgWelcome = "R\x00\x00\x00\x08\x00\x00\x00\x00"

// listenPostgres is a dialogue of so many statements, one at a time.
func listenPostgres(statements int, d pgDialogue) (netip.AddrPort, func() error, error) {
	const startup = "\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00"
	listener, at, err := listenTCP()
	return at, func() error {
		served := make(chan error, 1)
		go func() { served <- d.serve(listener, len(startup), statements) }()
		conn, err := net.Dial("tcp4", at.String())
		if err != nil {
			return err
		}
		say := func(text string, answer int) error {
			if text == "" {
				return nil
			}
			if _, err := io.WriteString(conn, text); err != nil {
				return err
			}
			_, err := io.CopyN(io.Discard, conn, int64(answer))
			return err
		}
		err = errors.Join(say(startup, len(pgWelcome+pgReady)), say(d.begin, len(d.begun)))
		for i := 0; i < statements && err == nil; i++ {
			err = say(d.ask(i), len(d.answer))
		}
		return errors.Join(err, conn.Close(), <-served, listener.Close())
	}, err
}

// serve answers one connection. All that is asked has a known length.
func (d *pgDialogue) serve(listener net.Listener, startup, statements int) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	answer := func(asked int, text string) error {
		if _, err := io.CopyN(io.Discard, conn, int64(asked)); err != nil {
			return err
		}
		_, err := io.WriteString(conn, text)
		return err
	}
	err = answer(startup, pgWelcome+pgReady)
	if err == nil && d.begin != "" {
		err = answer(len(d.begin), d.begun)
	}
	for i := 0; i < statements && err == nil; i++ {
		err = answer(len(d.ask(i)), d.answer)
	}
	return errors.Join(err, conn.Close())
}
