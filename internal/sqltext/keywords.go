package sqltext

import "strings"

// keyword is a word that says where a name follows, or where none does.
type keyword uint8

const (
	keyNone keyword = iota
	keyAs
	keyRecursive
	keyDistinct
	keySkipped // may stand before a name
	keyFrom
	keyJoin
	keyUsing
	keyOn
	keyEnds // ends a list of names
	keyTable
	keyView
	keyIndex
	keyObject // the first of the other kinds of objects
)

func (w keyword) isSkipped() bool { return w == keySkipped || w == keyTable }

func (w keyword) isReserved() bool { return w == keyAs || w >= keyFrom && w <= keyEnds }

func (w keyword) isObject() bool { return w >= keyTable }

// objectNames are the kinds of objects from keyTable on.
var objectNames = makeObjectNames(`TABLE VIEW INDEX
	ACCESS AGGREGATE CAST COLLATION CONVERSION DATABASE DEFAULT DOMAIN EVENT EXTENSION FUNCTION GROUP INSTANCE LANGUAGE LARGE LOGFILE OPERATOR PACKAGE
	POLICY PROCEDURE PUBLICATION RESOURCE ROLE ROUTINE RULE SCHEMA SEQUENCE SERVER STATISTICS SUBSCRIPTION SYSTEM TABLESPACE TEXT
	TRANSFORM TRIGGER TYPE USER UNDO`)

func makeObjectNames(list string) (all [][]byte) {
	for _, name := range strings.Fields(list) {
		all = append(all, []byte(name))
	}
	return all
}

var keywords = makeKeywords(map[keyword]string{
	keyAs:        "AS",
	keyRecursive: "RECURSIVE",
	keyDistinct:  "DISTINCT",
	keySkipped: `ONLY LATERAL ROWS IF NOT EXISTS INTO TABLES CONCURRENTLY LOW_PRIORITY HIGH_PRIORITY DELAYED QUICK IGNORE OVERWRITE
		TEMP TEMPORARY UNLOGGED`,
	keyFrom:  "FROM",
	keyJoin:  "JOIN STRAIGHT_JOIN",
	keyUsing: "USING",
	keyOn:    "ON",
	keyEnds:  "WHERE GROUP HAVING ORDER LIMIT OFFSET FETCH SET VALUES RETURNING UNION EXCEPT INTERSECT WINDOW FOR IN RENAME ADD",
})

func makeKeywords(lists map[keyword]string) map[string]keyword {
	all := make(map[string]keyword)
	for i, name := range objectNames {
		all[string(name)] = keyTable + keyword(i)
	}
	for w, list := range lists {
		for _, name := range strings.Fields(list) {
			all[name] = w
		}
	}
	return all
}
