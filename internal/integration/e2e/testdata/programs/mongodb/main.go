// Command mongodb is a server that speaks MongoDB's wire protocol, and stores nothing, and a client with the official driver.
//
//	mongodb serve 127.0.0.1:27017 [certificate key]
//	mongodb ask 127.0.0.1:27017 password [tls]
//
// The server prints a line for each command that it gets: its name, database, collection, and the code of its error. Over TLS the client begins
// once there is a line to read.
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
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3:])
		return
	}
	ask(os.Args[2], os.Args[3], len(os.Args) > 4)
}
