// Command generate writes the dashboard to packaging/grafana/socketflow.json. It runs in internal/integration.
package main

import (
	"fmt"
	"os"

	"github.com/socketflow/socketflow/internal/integration/dashboard"
)

func main() {
	text, err := dashboard.JSON()
	if err == nil {
		err = os.WriteFile("../../packaging/grafana/socketflow.json", text, 0o644) //nolint:gosec // a file of the repository
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}
