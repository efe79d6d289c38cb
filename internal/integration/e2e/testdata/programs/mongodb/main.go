// Command mongodb is a server that speaks MongoDB's wire protocol, and stores nothing, and a client with the official driver.
//
//	mongodb serve 127.0.0.1:27017 [certificate key]
//	mongodb ask 127.0.0.1:27017 password [tls]
//	mongodb older 127.0.0.1:27017 password
//
// The server prints a line for each command that it gets: its name, database, collection, and the code of its error. Over TLS the client begins
// once there is a line to read. older sends commands on many connections at once, which it has opened before.
package main

import (
	"fmt"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mongodb:", err)
		os.Exit(1)
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2], os.Args[3:])
		return
	case "older":
		older(os.Args[2], os.Args[3])
		return
	}
	ask(os.Args[2], os.Args[3], len(os.Args) > 4)
}
