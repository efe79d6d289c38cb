package sqltext

import "strings"

// target is how what a command is about is found.
type target uint8

const (
	nothing target = iota // it is not looked for, because it is about no table, or has names that hardly occur twice
	query                 // FROM, INTO, JOIN, USING, as the command has them; others may be in it
	next                  // the name behind it
	object                // the kind of an object comes first
	routine               // the name behind it, which is that of no table
)

// verb is a command.
type verb struct {
	name   []byte
	target target
}

// verbs are the commands of PostgreSQL, of its replication and of PgBouncer's console, and those of MySQL and MariaDB, in upper case.
var verbs = makeVerbs(map[target]string{
	query:   "SELECT INSERT UPDATE DELETE MERGE REPLACE VALUES WITH EXPLAIN PREPARE DECLARE",
	next:    "TABLE COPY TRUNCATE LOCK DESCRIBE DESC HANDLER",
	object:  "CREATE ALTER DROP",
	routine: "CALL",
	nothing: `ABORT ANALYZE BEGIN CHECKPOINT CLOSE CLUSTER COMMENT COMMIT DEALLOCATE DISCARD DO END EXECUTE FETCH GRANT IMPORT LISTEN LOAD MOVE
		NOTIFY REASSIGN REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SET SHOW START UNLISTEN VACUUM
		IDENTIFY_SYSTEM START_REPLICATION CREATE_REPLICATION_SLOT ALTER_REPLICATION_SLOT DROP_REPLICATION_SLOT READ_REPLICATION_SLOT
		TIMELINE_HISTORY BASE_BACKUP UPLOAD_MANIFEST
		PAUSE RESUME RELOAD SUSPEND KILL WAIT_CLOSE RECONNECT DISABLE ENABLE
		BACKUP BINLOG CACHE CHANGE CHECK CHECKSUM CLONE FLUSH GET HELP INSTALL OPTIMIZE PURGE RENAME REPAIR RESIGNAL RESTART SHUTDOWN SIGNAL
		STOP UNINSTALL UNLOCK USE XA`,
})

func makeVerbs(lists map[target]string) map[string]*verb {
	all := make(map[string]*verb)
	for t, list := range lists {
		for _, name := range strings.Fields(list) {
			all[name] = &verb{[]byte(name), t}
		}
	}
	return all
}

// lookup finds a word among the keywords and the commands.
func lookup(b []byte) (keyword, *verb) {
	if len(b) > maxWord {
		return keyNone, nil
	}
	var buffer [maxWord]byte
	upper := buffer[:0]
	for _, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = append(upper, c)
	}
	return keywords[string(upper)], verbs[string(upper)]
}

// Command is the name of a command, in upper case; nil: it is not known.
func Command(b []byte) []byte {
	if _, v := lookup(b); v != nil {
		return v.name
	}
	return nil
}
