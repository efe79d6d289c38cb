package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	floodConnections = 10
	floodStatements  = 40
	floodNames       = 5
	floodRounds      = 30
)

// floods is a connection, and which statements its names stand for; 0: none.
type floods struct {
	*pgx.Conn
	standing [floodNames]int
}

// flood executes statements of which the nth returns n rows, for each line of its input, over connections that stay. Their names stand for
// one statement after the other. At the end it prints how often it has executed each.
func flood(ctx context.Context) {
	var executed [floodStatements + 1]atomic.Int64
	var connections [floodConnections]floods
	for i := range connections {
		c, err := pgx.Connect(ctx, os.Args[1])
		check(err)
		connections[i].Conn = c
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println("done") {
		time.Sleep(600 * time.Millisecond) // after such a silence what follows a loss is paired again
		var all sync.WaitGroup
		for i := range connections {
			all.Go(func() {
				for range floodRounds {
					connections[i].prepareAny(ctx)
					for range 3 {
						executed[connections[i].executeAny(ctx)].Add(1)
					}
				}
			})
		}
		all.Wait()
	}
	for i := range executed {
		if n := executed[i].Load(); n > 0 {
			fmt.Println(i, n)
		}
	}
}

// prepareAny gives a name to another statement.
func (f *floods) prepareAny(ctx context.Context) {
	at, n := rand.IntN(floodNames), 1+rand.IntN(floodStatements)
	name := fmt.Sprint("name", at)
	if f.standing[at] != 0 {
		check(f.Deallocate(ctx, name))
	}
	_, err := f.Prepare(ctx, name, fmt.Sprintf("SELECT repeat('x', 100) AS statement_%d FROM generate_series(1, $1::int)", n))
	check(err)
	f.standing[at] = n
}

// executeAny executes a statement, and returns its number.
func (f *floods) executeAny(ctx context.Context) (n int) {
	at := rand.IntN(floodNames)
	for f.standing[at] == 0 {
		at = (at + 1) % floodNames
	}
	n = f.standing[at]
	rows, err := f.Query(ctx, fmt.Sprint("name", at), n)
	check(err)
	rows.Close()
	check(rows.Err())
	return n
}
