// A module of its own: what only a test's program needs is no dependency of the receiver.
module github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/mysql

go 1.26.0

require github.com/go-sql-driver/mysql v1.10.1

require filippo.io/edwards25519 v1.2.0 // indirect
