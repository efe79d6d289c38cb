// Command postgres uses a database as programs with a pool of connections do: with statements that pgx prepares or only describes, simple
// queries, batches, COPY, errors, notifications, and a statement that is cancelled.
//
//	postgres 'host=127.0.0.1 port=5432 user=postgres' literal [older | flood]
//
// With older it only prepares a statement, says so, and goes on when its input ends. With flood it executes many for each line of its
// input.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		os.Exit(1)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	literal := os.Args[2]
	if len(os.Args) > 3 {
		map[string]func(context.Context){"older": older, "flood": flood}[os.Args[3]](ctx)
		return
	}
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		config, err := pgxpool.ParseConfig(os.Args[1])
		check(err)
		config.MaxConns = 8
		config.ConnConfig.DefaultQueryExecMode = mode
		pool, err := pgxpool.NewWithConfig(ctx, config)
		check(err)
		table := fmt.Sprintf("pgx_%d", mode)
		_, err = pool.Exec(ctx, "CREATE TABLE "+table+" (id int PRIMARY KEY, name text)")
		check(err)
		use(ctx, pool, table, literal)
		pool.Close()
	}
	more(ctx)
}

// older uses a connection that is older than the end of its input, by what it has prepared before, and by what it prepares then.
func older(ctx context.Context) {
	c, err := pgx.Connect(ctx, os.Args[1])
	check(err)
	prepared := func(name, sql string) {
		_, err := c.Prepare(ctx, name, sql)
		check(err)
	}
	execute := func(name string) {
		for range 5 {
			_, err := c.Exec(ctx, name, 1)
			check(err)
		}
	}
	prepared("before", "UPDATE pg_settings SET setting = setting WHERE $1 = 2")
	execute("before")
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	check(err)
	execute("before")
	prepared("behind", "SELECT name FROM pg_settings WHERE $1 = 1")
	execute("behind")
	execute("before")
	check(c.Close(ctx))
}

// use makes requests over all connections of a pool.
func use(ctx context.Context, pool *pgxpool.Pool, table, literal string) {
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 10 {
				_, err := pool.Exec(ctx, "INSERT INTO "+table+" (id, name) VALUES ($1, $2)", 100*n+i, literal)
				check(err)
				rows, err := pool.Query(ctx, "SELECT id, name FROM "+table+" WHERE id >= $1 AND name = '"+literal+"' LIMIT 3", 100*n)
				check(err)
				rows.Close()
				check(rows.Err())
			}
			batch := &pgx.Batch{}
			for i := range 5 {
				batch.Queue("UPDATE "+table+" SET name = $1 WHERE id = $2", literal, 100*n+i)
			}
			check(pool.SendBatch(ctx, batch).Close())
			_, err := pool.Exec(ctx, "INSERT INTO "+table+" (id, name) VALUES ($1, $2)", 100*n, literal)
			var failure *pgconn.PgError
			if !errors.As(err, &failure) || failure.Code != "23505" {
				check(fmt.Errorf("a second row with the same key: %w", err))
			}
		})
	}
	all.Wait()
}

// more uses one connection.
func more(ctx context.Context) {
	c, err := pgx.Connect(ctx, os.Args[1])
	check(err)
	_, err = c.Exec(ctx, "CREATE TABLE copied (id int, name text)")
	check(err)
	_, err = c.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"id", "name"}, pgx.CopyFromSlice(5000, func(i int) ([]any, error) {
		return []any{i, os.Args[2]}, nil
	}))
	check(err)
	_, err = c.Exec(ctx, "LISTEN pgx")
	check(err)
	_, err = c.Exec(ctx, "NOTIFY pgx, '"+os.Args[2]+"'")
	check(err)
	_, err = c.WaitForNotification(ctx)
	check(err)
	check(cancelled(ctx, c))
	check(c.Close(ctx))
}

// cancelled cancels a statement, over a connection of its own, once another connection sees that it runs.
func cancelled(ctx context.Context, c *pgx.Conn) error {
	var all sync.WaitGroup
	all.Go(func() {
		observer, err := pgx.Connect(ctx, os.Args[1])
		check(err)
		for running := 0; running == 0; {
			check(observer.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'").Scan(&running))
		}
		check(observer.Close(ctx))
		check(c.PgConn().CancelRequest(ctx))
	})
	_, err := c.Exec(ctx, "SELECT pg_sleep(30)")
	all.Wait()
	var failure *pgconn.PgError
	if errors.As(err, &failure) && failure.Code == "57014" {
		return nil
	}
	return fmt.Errorf("a statement that is cancelled: %w", err)
}
