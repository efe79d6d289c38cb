// Command generate writes docs/config.schema.json and docs/all-keys.yaml. It runs in internal/integration.
package main

import (
	"fmt"
	"os"

	"github.com/socketflow/socketflow/internal/integration/configschema"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "configschema:", err)
		os.Exit(1)
	}
}

func write() error {
	const root = "../.."
	top, err := configschema.Keys(root)
	if err != nil {
		return err
	}
	schema, err := configschema.JSON(top)
	if err != nil {
		return err
	}
	sample, err := configschema.Sample(top, false)
	if err != nil {
		return err
	}
	if err := os.WriteFile(root+"/docs/config.schema.json", schema, 0o644); err != nil { //nolint:gosec // a file of the repository
		return err
	}
	return os.WriteFile(root+"/docs/all-keys.yaml", sample, 0o644) //nolint:gosec // a file of the repository
}
