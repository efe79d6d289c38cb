//go:build e2e && linux

package e2e

import (
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// TestDatabasesOnOlderConnections has clients use many connections at once which they had opened, and used, before the collector ran.
func TestDatabasesOnOlderConnections(t *testing.T) {
	builder := newBuilder(t)
	memcachedPort, mongoPort := freePort(t), freePort(t)
	caches, documents := newScene(t, builder, "memcached-older"), newScene(t, builder, "mongodb-older")
	cache := caches.serve(exec.Command(testenv.NeedProgram(t, "memcached", "memcached"), "-u", "root", "-l", "127.0.0.1", "-p", strconv.Itoa(memcachedPort), "-U", "0"), memcachedPort)
	documents.serve(documents.command("mongodb serve ADDRESS", "127.0.0.1", mongoPort), mongoPort)
	asksCache, beginCache := olderClient(caches, caches.command("memcached ADDRESS "+memcachedSecret+" older", "127.0.0.1", memcachedPort))
	asksDocuments, beginDocuments := olderClient(documents, documents.command("mongodb older ADDRESS "+mongoSecret, "127.0.0.1", mongoPort))
	before := len(readFile(t, documents.actors[0].stdout))

	c := runRequestCollector(t, withRing("16MiB", "1s"))
	beginCache()
	beginDocuments()
	for _, a := range []*actor{asksCache, asksDocuments} {
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
	}
	wantCache := [2]map[string]int{memcachedMany, memcachedMany}
	ends := mongoEnds(documents)
	// What the driver asks about the server by itself it may have begun before.
	commands := func(counts map[string]int) map[string]int {
		for name := range counts {
			if strings.HasPrefix(name, "hello ") || strings.HasPrefix(strings.ToLower(name), "ismaster ") {
				delete(counts, name)
			}
		}
		return counts
	}
	wantDocuments := commands(mongoCommands(readFile(t, documents.actors[0].stdout)[before:]))
	require.Equal(t, 50, wantDocuments["insert shop taken 11000"])
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if assert.ObjectsAreEqual(wantCache, memcachedEnds(t, c, asksCache, cache)) &&
			assert.ObjectsAreEqual(wantDocuments, commands(ends[0](c))) && assert.ObjectsAreEqual(wantDocuments, commands(ends[1](c))) {
			break
		}
	}
	c.finish(t)
	assert.Equal(t, wantCache, memcachedEnds(t, c, asksCache, cache))
	for i, emitted := range ends {
		assert.Equal(t, wantDocuments, commands(emitted(c)), "end %d", i)
	}
	c.requireSecret(t, memcachedSecret, mongoSecret)
}

// olderClient starts a client, which waits until it is to begin.
func olderClient(s *scene, cmd *exec.Cmd) (client *actor, begin func()) {
	s.t.Helper()
	input := pipe(s.t, cmd)
	client = s.start("client", cmd)
	eventually(s.t, 20*time.Second, "the client is ready", func() error {
		if !strings.Contains(readFile(s.t, client.stdout), "ready") {
			return errors.New("it is not")
		}
		return nil
	})
	return client, func() {
		_, err := io.WriteString(input, "begin\n")
		require.NoError(s.t, err)
	}
}
