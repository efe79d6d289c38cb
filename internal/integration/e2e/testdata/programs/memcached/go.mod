// A module of its own: what only a test's program needs is no dependency of the receiver.
module github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/memcached

go 1.26.0
