// A module of its own: what only a test's program needs is no dependency of the receiver.
module github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/memcached

go 1.26.0

require github.com/bradfitz/gomemcache v0.0.0-20260422231931-4d751bb6e37c
