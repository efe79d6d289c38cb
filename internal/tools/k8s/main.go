// Command k8s checks Kubernetes manifests, and those that a Helm chart makes: every field by the API's types, that what they name is there, and that the pods
// have the privileges of a systemd unit and no more.
//
//	go run . -unit otelcol-socketflow.service -config collector.yaml manifest.yaml...
//	go run . -unit otelcol-socketflow.service -chart packaging/helm/socketflow -configs folder
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	unit := flag.String("unit", "", "the systemd `unit` whose capabilities the pods are to have")
	config := flag.String("config", "", "the `file` to which the collector's configuration is written")
	chart := flag.String("chart", "", "the `folder` of a Helm chart, which is rendered with its own values and with those in its folder ci")
	configs := flag.String("configs", "", "the `folder` to which the collector's configurations in the chart are written")
	flag.Parse()
	var err error
	if *chart != "" {
		err = runChart(*unit, *chart, *configs)
	} else {
		err = run(*unit, *config, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "k8s:", err)
		os.Exit(1)
	}
}

func run(unitFile, configFile string, manifests []string) error {
	if unitFile == "" || len(manifests) == 0 {
		return fmt.Errorf("name the systemd unit with -unit, and at least one manifest")
	}
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		return err
	}
	var all objects
	for _, name := range manifests {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := all.decode(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := all.check(capabilities(string(unit))); err != nil {
		return err
	}
	if configFile == "" {
		return nil
	}
	return os.WriteFile(configFile, []byte(all.collectorConfig()), 0o600)
}

func runChart(unitFile, chart, folder string) error {
	unit, err := os.ReadFile(unitFile) //nolint:gosec // named by who runs this
	if err != nil {
		return err
	}
	return checkChart(chart, capabilities(string(unit)), folder)
}
