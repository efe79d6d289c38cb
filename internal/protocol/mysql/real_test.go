package mysql

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
	"github.com/socketflow/socketflow/internal/testenv"
)

const session = `CREATE TABLE users (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(255), data LONGBLOB);
INSERT INTO users (name) VALUES ('joe'), ('ann''s'), ('"x"');
SELECT * FROM users WHERE name = 'joe';
SELECT u.name FROM users u JOIN users v ON u.id = v.id;
UPDATE users SET name = 'x' WHERE id IN (1, 2, 3);
DELETE FROM users WHERE id = 99;
SELECT * FROM nowhere;
SELECT 1 FROM users WHERE;
PREPARE s FROM 'SELECT ?';
SET @a = 5;
EXECUTE s USING @a;
DEALLOCATE PREPARE s;
SHOW TABLES;
EXPLAIN SELECT * FROM users;
BEGIN;
COMMIT;
INSERT INTO users (name, data) VALUES ('big', REPEAT('x', 300000));
SELECT data FROM users;
LOAD DATA LOCAL INFILE '@ROWS@' INTO TABLE users (name);
CREATE PROCEDURE report() BEGIN SELECT 1; SELECT name FROM users; END;
CALL report();
SHOW WARNINGS;
CREATE DATABASE other;
USE other;
SELECT DATABASE();
`

// script is the session as the client wants it, with another end of statements.
func script(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(file, []byte(strings.Repeat("secret\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	return "DELIMITER $$\n" + strings.ReplaceAll(strings.ReplaceAll(session, "@ROWS@", file), ";\n", "$$\n")
}

func TestRealSessionOfTheClient(t *testing.T) {
	for name, options := range map[string][]string{"plain": nil, "compressed": {"--compress"}} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			before := s.settled()
			// What SQL itself prepares and executes is logged twice.
			before["COM_STMT_PREPARE"]++
			before["COM_STMT_EXECUTE"]++
			s.run(script(t), "mariadb", append(options, "--local-infile=1", "--force", "shop")...)
			lines := listing(s.check(before))
			for _, want := range []string{
				"SELECT users mariadb response.returned_rows=1 {SELECT * FROM users WHERE name = ?}",
				"SELECT nowhere db.sqlstate=42S02 mariadb response.status_code=1146 {SELECT * FROM nowhere}",
				"SELECT users db.sqlstate=42000 mariadb response.status_code=1064 {SELECT ? FROM users WHERE}",
				"SELECT users mariadb response.returned_rows=4 {SELECT data FROM users}",
				"LOAD mariadb {LOAD DATA LOCAL INFILE ? INTO TABLE users (name)}",
				"CALL report mariadb response.returned_rows=5005 {CALL report()}",
				"SELECT db=other mariadb response.returned_rows=1 {SELECT DATABASE()}",
			} {
				if !strings.Contains(lines, want+"\n") {
					t.Errorf("%q is not in\n%s", want, lines)
				}
			}
			for _, secret := range []string{"joe", "ann", "secret"} {
				if strings.Contains(lines, secret) {
					t.Errorf("%q is in\n%s", secret, lines)
				}
			}
		})
	}
}

func listing(all []protocoltest.Exchange) string {
	var lines strings.Builder
	for i := range all {
		fmt.Fprintln(&lines, brief(&all[i]))
	}
	return lines.String()
}

func TestRealPreparedStatements(t *testing.T) {
	const sql = "SELECT a, b FROM t WHERE a > ?"
	const prepared, executed = "COM_STMT_PREPARE mariadb on=t {" + sql + "}", "SELECT t mariadb response.returned_rows=2 {" + sql + "}"
	one := "\x00\x01\x08\x00" + little(1, 8)
	withCursor := func(id uint64) string { return cmd(0x17, little(id, 4)+"\x01\x01\x00\x00\x00"+one) }
	for name, capabilities := range map[string]uint64{"with EOF": caps, "without EOF": caps | canReplaceEOF, "with the state of the session": caps | canReplaceEOF | canTrack} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			s.direct("CREATE TABLE shop.t (a INT, b VARCHAR(20)); INSERT INTO shop.t VALUES (1, 'x'), (2, 'y'), (3, 'z')")
			before := s.settled()
			// Each step ends with a command that no server knows, whose reply shows that everything before it has come.
			const last, refused = "\x01\x00\x00\x00\x77", "Unknown command"
			steps := [][2]string{
				{"", "mysql_native_password\x00"},
				{pkt(1, strings.Replace(loginBody(capabilities, "shop"), "scott\x00"+text(secret), "root\x00\x00", 1)), ""},
				{cmd(0x16, sql), ""}, {execute(1, one), ""}, {cmd(0x18, little(1, 4)+"\x00\x001"), ""}, {cmd(0x1a, little(1, 4)), ""},
				{withCursor(1), ""}, {cmd(0x1c, little(1, 4)+little(1, 4)), ""}, {cmd(0x1c, little(1, 4)+little(9, 4)), ""},
				{cmd(0x19, little(1, 4)) + execute(1, one), ""}, {cmd(0x16, "DO ?"), ""}, {cmd(0x16, "SELECT a FROM nowhere"), ""},
				{cmd(0x16, sql) + cmd(0x17, little(lastPrepared, 4)+"\x00\x01\x00\x00\x00"+one), ""},
				{cmd(0x02, "mysql"), ""}, {cmd(0x09, ""), ""}, {cmd(0x1b, "\x00\x00"), ""}, {query("SELECT 1; USE shop; SELECT 2"), ""}, {query("DO 1"), ""},
				{cmd(0x04, "t\x00"), ""}, {cmd(0x0a, ""), ""}, {cmd(0x0e, ""), ""}, {cmd(0x1f, ""), ""},
			}
			for i := range steps[1:] {
				steps[1+i] = [2]string{steps[1+i][0] + last, refused}
			}
			s.talk(append(steps, [2]string{cmd(0x01, ""), untilEnd})...)
			s.recorders[0].Errors[protocol.Undecodable]-- // the statement that was closed
			before["COM_STMT_PREPARE"]--                  // one that is refused is not logged
			var lines string
			for line := range strings.Lines(listing(s.check(before))) {
				if !strings.Contains(line, "op=_OTHER") {
					lines += line
				}
			}
			want := strings.Join([]string{
				prepared, executed, "COM_STMT_SEND_LONG_DATA mariadb unanswered", "COM_STMT_RESET mariadb",
				"SELECT t mariadb response.returned_rows=0 {" + sql + "}", "COM_STMT_FETCH mariadb on=t response.returned_rows=1 {" + sql + "}", "COM_STMT_FETCH mariadb on=t response.returned_rows=1 {" + sql + "}",
				"COM_STMT_CLOSE mariadb unanswered", "COM_STMT_EXECUTE db.sqlstate=HY000 mariadb response.status_code=1243", "COM_STMT_PREPARE mariadb {DO ?}",
				"COM_STMT_PREPARE db.sqlstate=42S02 mariadb on=nowhere response.status_code=1146 {SELECT a FROM nowhere}", prepared, executed,
				"COM_INIT_DB db=mysql mariadb", "COM_STATISTICS db=mysql mariadb", "COM_SET_OPTION db=mysql mariadb",
				"BATCH db=mysql mariadb operation.batch.size=3 response.returned_rows=2 {SELECT ?; USE shop; SELECT ?}", "DO mariadb {DO ?}",
				"COM_FIELD_LIST mariadb", "COM_PROCESS_INFO mariadb response.returned_rows=1", "COM_PING mariadb", "COM_RESET_CONNECTION mariadb", "COM_QUIT mariadb unanswered", "",
			}, "\n")
			if lines != want {
				t.Errorf("%s\nwant:\n%s", lines, want)
			}
		})
	}
}

func TestRealRefusals(t *testing.T) {
	s := startServer(t)
	s.direct("CREATE USER joe IDENTIFIED BY 'right'")
	for _, user := range []string{"joe", "nobody"} {
		cmd := exec.Command(testenv.NeedProgram(t, "mariadb-client", "mariadb"), "--no-defaults", "-h", "127.0.0.1", "-P", fmt.Sprint(s.address.Port), "--protocol=tcp", "-u", user, "-pwrong")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "1045") {
			t.Errorf("%v: %s", err, out)
		}
	}
	s.open.Wait()
	for i, r := range s.recorders {
		if got := briefs(r); got != "COM_CONNECT db.sqlstate=28000 db=unknown mariadb response.status_code=1045" || len(r.Open) > 0 {
			t.Errorf("connection %d: %s", i, got)
		}
	}
}
