package main

var all = []pattern{one, sequential, parallel}

// python has Debian's packages.
const python = "/usr/bin/python3"

// module is a command that succeeds where Python has a module.
func module(name string) []string { return []string{python, "-c", "import " + name} }

// runtimes are in the order of the table.
var runtimes = []*runtime{
	{
		name: "Go net/http", build: "go build -C PROGRAMS/gohttp -o WORK/causality-gohttp .", command: "WORK/causality-gohttp",
		patterns: all, least: aim{recall: 0.95},
	},
	{
		name: "Node http", needs: [][]string{{"node", "--version"}}, install: "nodejs", command: "node PROGRAMS/node/http.js",
		patterns: all, least: aim{recall: 0.99},
	},
	{
		name: "Node undici", needs: [][]string{{"node", "--eval", "fetch"}}, install: "nodejs", command: "node PROGRAMS/node/fetch.js",
		patterns: all, least: aim{recall: 0.99},
	},
	{
		name: "Python threads", needs: [][]string{module("urllib3")}, install: "python3-urllib3",
		command: python + " PROGRAMS/python/threads.py", patterns: all, least: aim{recall: 0.99},
	},
}
