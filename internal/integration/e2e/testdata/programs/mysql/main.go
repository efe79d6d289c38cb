// Command mysql runs statements over a pool of connections: as text, prepared, in transactions, several at once, and with errors.
//
// Over TLS it begins once there is a line to read.
//
//	mysql 127.0.0.1:3306 password [tls]
//
// With older in place of tls it opens a connection, prepares a statement, says so, and uses both once there is a line to read.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mysql:", err)
		os.Exit(1)
	}
}

// await waits for a line.
func await() {
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
}

// older uses a connection and a statement from before somebody looked.
func older(ctx context.Context) {
	pool := open(func(*mysql.Config) {})
	pool.SetMaxOpenConns(1)
	kept, err := pool.PrepareContext(ctx, "SELECT ? + 1")
	check(err)
	fmt.Println("ready")
	await()
	var n int
	for i := range 50 {
		check(pool.QueryRowContext(ctx, "SELECT 'literal' = 'x'").Scan(&n))
		check(kept.QueryRowContext(ctx, i).Scan(&n))
	}
	check(pool.QueryRowContext(ctx, "SELECT ? + 2", 5).Scan(&n))
	check(errors.Join(kept.Close(), pool.Close()))
}

func open(change func(*mysql.Config)) *sql.DB {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", os.Args[1], "shop", os.Args[2], "shop"
	if len(os.Args) > 3 && os.Args[3] == "tls" {
		c.TLSConfig = "skip-verify"
	}
	change(c)
	connector, err := mysql.NewConnector(c)
	check(err)
	return sql.OpenDB(connector)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if len(os.Args) > 3 && os.Args[3] == "older" {
		older(ctx)
		return
	}
	if len(os.Args) > 3 {
		await()
	}
	pool := open(func(*mysql.Config) {})
	pool.SetMaxOpenConns(10)
	pool.SetMaxIdleConns(10)
	exec := func(statement string, arguments ...any) {
		_, err := pool.ExecContext(ctx, statement, arguments...)
		check(err)
	}
	exec("CREATE TABLE items (id BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(255), data LONGBLOB)")
	kept, err := pool.PrepareContext(ctx, "SELECT name FROM items WHERE id < ?")
	check(err)
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			for i := range 30 {
				exec("INSERT INTO items (name, data) VALUES (?, ?)", fmt.Sprint("literal-", n, "-", i), []byte("x")) // prepared, executed, closed
				exec(fmt.Sprintf("UPDATE items SET name = 'literal-%d' WHERE id = %d", i, n))
				var name string
				rows, err := kept.QueryContext(ctx, 20)
				check(err)
				for rows.Next() {
					check(rows.Scan(&name))
				}
				check(rows.Close())
			}
			transaction, err := pool.BeginTx(ctx, nil)
			check(err)
			_, err = transaction.ExecContext(ctx, "DELETE FROM items WHERE id = ?", 1000+n)
			check(err)
			check(transaction.Rollback())
			_, err = pool.ExecContext(ctx, "SELECT * FROM nowhere")
			var refused *mysql.MySQLError
			if !errors.As(err, &refused) || refused.Number != 1146 {
				check(fmt.Errorf("an error of the server is expected, not %w", err))
			}
		})
	}
	all.Wait()
	large := strings.Repeat("literal", 1<<18)
	exec("INSERT INTO items (name, data) VALUES ('large', ?)", large)
	var length int
	var data []byte
	check(pool.QueryRowContext(ctx, "SELECT LENGTH(data), data FROM items WHERE name = 'large'").Scan(&length, &data))
	if length != len(large) || len(data) != length {
		check(fmt.Errorf("%d and %d bytes", length, len(data)))
	}
	check(kept.Close())
	check(pool.PingContext(ctx))
	check(pool.Close())

	several := open(func(c *mysql.Config) { c.MultiStatements, c.InterpolateParams = true, true })
	rows, err := several.QueryContext(ctx, "SELECT ?; SELECT 'literal' FROM items LIMIT 5", 7)
	check(err)
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
		}
	}
	check(errors.Join(rows.Err(), rows.Close(), several.Close()))

	compressed := open(func(c *mysql.Config) { c.InterpolateParams = true; check(c.Apply(mysql.EnableCompression(true))) })
	rows, err = compressed.QueryContext(ctx, "SELECT id, name FROM items WHERE name LIKE ? ORDER BY id", "literal%")
	check(err)
	for rows.Next() {
	}
	check(errors.Join(rows.Err(), rows.Close(), compressed.Close()))
}
