package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestTheParentInAComment(t *testing.T) {
	const parent = "traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"
	for sql, want := range map[string]bool{
		"SELECT 1 /*" + parent + "*/":                                         true,
		"SELECT 1 /*" + parent + "*/;\n":                                      true,
		"SELECT 1 /*action='a%20b',db_driver='x'," + parent + "*/":            true,
		"SELECT 1 /* " + parent + ", route='%2Fa' */":                         true,
		"/*" + parent + "*/ SELECT 1":                                         true,
		"/*" + parent + "*/ SELECT 1 /* note */":                              true,
		"SELECT '/*" + parent + "*/'":                                         false,
		"SELECT '/*" + parent + "*/' , 1":                                     false,
		"SELECT 1 /*" + parent:                                                false,
		"SELECT 1 /*x" + parent + "*/":                                        false,
		"SELECT 1 /*" + parent + "," + parent + "*/":                          false,
		"SELECT 1 /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad'*/": false,
		"SELECT 1 /*/": false,
		"/*/":          false,
		"*/":           false,
		"":             false,
	} {
		found, ok := protocol.CommentedParent([]byte(sql))
		assert.Equal(t, want, ok, sql)
		assert.Equal(t, want, found.Valid(), sql)
	}
	assert.Zero(t, testing.AllocsPerRun(10, func() { protocol.CommentedParent([]byte("SELECT 1 /*" + parent + "*/")) }))
}
