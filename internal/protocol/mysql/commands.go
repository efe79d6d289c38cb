package mysql

// command is what is known of a command of the protocol.
type command struct {
	name        string // of the span, if there is no statement
	text        []byte // the command's, which is mostly the same
	reply       reply
	body        body
	least, most uint64 // length of the packet
}

// reply is the form of what the server replies.
type reply uint8

const (
	replyOne     reply = iota // one packet
	replyNone                 // nothing
	replyResult               // results, each with rows or without
	replyRows                 // rows, without anything before them
	replyColumns              // descriptions of columns, likewise
	replyPrepare              // a statement's number, and descriptions of its parameters and columns
	replyLogin                // questions, which the client answers, until it is let in or refused
	replyForever              // nothing that ends
)

// body is what follows the command's number.
type body uint8

const (
	bodyOther  body = iota
	bodySQL         // with attributes before it, if client and server have agreed on that
	bodySchema      // the name of a database
	bodyStatement
	bodyLogin
)

const unlimited = 1 << 30 // max_allowed_packet is not above that

// table has the commands of MySQL 9 and MariaDB 12 (my_command.h, mysql_com.h), by their numbers.
var table = map[byte]command{
	0x01: {name: "COM_QUIT", reply: replyNone, least: 1, most: 1},
	0x02: {name: "COM_INIT_DB", body: bodySchema, least: 2, most: 1 << 10},
	0x03: {name: "COM_QUERY", reply: replyResult, body: bodySQL, least: 2, most: unlimited},
	0x04: {name: "COM_FIELD_LIST", reply: replyColumns, least: 3, most: 1 << 11},
	0x05: {name: "COM_CREATE_DB", body: bodySchema, least: 2, most: 1 << 10},
	0x06: {name: "COM_DROP_DB", body: bodySchema, least: 2, most: 1 << 10},
	0x07: {name: "COM_REFRESH", least: 2, most: 2},
	0x08: {name: "COM_SHUTDOWN", least: 1, most: 2},
	0x09: {name: "COM_STATISTICS", least: 1, most: 1},
	0x0a: {name: "COM_PROCESS_INFO", reply: replyResult, least: 1, most: 1},
	0x0c: {name: "COM_PROCESS_KILL", least: 5, most: 5},
	0x0d: {name: "COM_DEBUG", least: 1, most: 1},
	0x0e: {name: "COM_PING", least: 1, most: 1},
	0x11: {name: "COM_CHANGE_USER", reply: replyLogin, body: bodyLogin, least: 4, most: 1 << 17},
	0x12: {name: "COM_BINLOG_DUMP", reply: replyForever, least: 11, most: 1 << 10},
	0x13: {name: "COM_TABLE_DUMP", reply: replyForever, least: 3, most: 1 << 10},
	0x15: {name: "COM_REGISTER_SLAVE", least: 18, most: 1 << 10},
	0x16: {name: "COM_STMT_PREPARE", reply: replyPrepare, body: bodySQL, least: 2, most: unlimited},
	0x17: {name: "COM_STMT_EXECUTE", reply: replyResult, body: bodyStatement, least: 10, most: unlimited},
	0x18: {name: "COM_STMT_SEND_LONG_DATA", reply: replyNone, body: bodyStatement, least: 7, most: unlimited},
	0x19: {name: "COM_STMT_CLOSE", reply: replyNone, body: bodyStatement, least: 5, most: 5},
	0x1a: {name: "COM_STMT_RESET", body: bodyStatement, least: 5, most: 5},
	0x1b: {name: "COM_SET_OPTION", least: 3, most: 3},
	0x1c: {name: "COM_STMT_FETCH", reply: replyRows, body: bodyStatement, least: 9, most: 9},
	0x1e: {name: "COM_BINLOG_DUMP_GTID", reply: replyForever, least: 19, most: 1 << 20},
	0x1f: {name: "COM_RESET_CONNECTION", least: 1, most: 1},
	0x20: {name: "COM_CLONE", reply: replyForever, least: 1, most: 1},
	0xfa: {name: "COM_STMT_BULK_EXECUTE", reply: replyResult, body: bodyStatement, least: 7, most: unlimited},
}

// Commands that the parser treats in a way of their own.
const (
	comChangeUser      = 0x11
	comStmtExecute     = 0x17
	comStmtClose       = 0x19
	comInitDB          = 0x02
	comResetConnection = 0x1f
	comStmtBulkExecute = 0xfa
)

// commands has all numbers: those that are not known stand for any.
var commands = func() (all [256]*command) {
	other := &command{name: name, text: []byte("_OTHER"), least: 1, most: unlimited}
	for i := range all {
		all[i] = other
	}
	for i, c := range table {
		c.text = []byte(c.name)
		all[i] = &c
	}
	return all
}()

// connect is the login, which is no command on the wire. The server's log calls it so.
var connect = &command{name: "COM_CONNECT", text: []byte("COM_CONNECT"), reply: replyLogin, body: bodyLogin}

// plausible reports whether a packet, of which the first bytes are given, is a command that is known and has its form.
func plausible(length uint64, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	c, known := table[b[0]]
	if !known || length < c.least || length > c.most {
		return false
	}
	switch c.body {
	case bodySchema:
		return printable(b[1:])
	case bodySQL:
		return isSQL(b[1:])
	case bodyStatement: // a number of statements is executed, which is always 1
		return b[0] != comStmtExecute || len(b) < 10 || b[5] <= mostFlags && b[6] == 1 && b[7]|b[8]|b[9] == 0
	}
	return true
}

// mostFlags has all flags that COM_STMT_EXECUTE may have.
const mostFlags = 0x0f

// judgedSQL is how many bytes of a statement are looked at to know that it is one.
const judgedSQL = 64

// isSQL reports whether bytes begin as a statement does, behind attributes that there may be.
func isSQL(b []byte) bool {
	if mayHaveAttributes(b) {
		b, _ = behindAttributes(b)
	}
	for i, c := range b[:min(len(b), judgedSQL)] {
		switch {
		case c >= ' ' && c != 0x7f, c == '\t', c == '\n', c == '\r':
		default:
			return false
		}
		if i == 0 && c > 0x7f {
			return false
		}
	}
	return true
}
