package main

import "slices"

const (
	python   = "/usr/bin/python3" // which has Debian's packages
	gunicorn = python + " -m gunicorn --bind 127.0.0.1:LISTEN --backlog 2048 --worker-tmp-dir /dev/shm --log-level warning "
)

// module is a command that succeeds where Python has a module.
func module(name string) []string { return []string{python, "-c", "import " + name} }

var phpCurl = []string{"php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"}

var (
	all      = []pattern{one, delayed, sequential, parallel}
	further  = append(slices.Clone(all), background)
	blocking = []pattern{one, delayed, sequential}
	proxies  = []pattern{one}
)

// What is aimed at.
var (
	nearlyAll = aim{recall: 0.99}
	mostOfGo  = aim{recall: 0.95}
	handed    = aim{recall: 0.7, concurrency: 100} // between tasks of an event loop, or threads of a pool
)

// runtimes are in the order of the table.
var runtimes = []*runtime{
	{
		name: "Go net/http", build: "go build -C PROGRAMS/gohttp -o WORK/causality-gohttp .",
		command: "WORK/causality-gohttp", patterns: further, least: mostOfGo,
	},
	{
		name: "grpc-go", build: "go build -C PROGRAMS/grpc -o WORK/causality-grpc .",
		command: "WORK/causality-grpc", patterns: all, grpc: true, least: mostOfGo,
	},
	{
		name: "Node http", needs: [][]string{{"node", "--version"}}, install: "nodejs",
		command: "node PROGRAMS/node/http.js", patterns: all, least: nearlyAll,
	},
	{
		name: "Node undici", needs: [][]string{{"node", "--eval", "fetch"}}, install: "nodejs",
		command: "node PROGRAMS/node/fetch.js", patterns: all, least: nearlyAll,
	},
	{
		name: "Python threads", needs: [][]string{module("urllib3")}, install: "python3-urllib3",
		command: python + " PROGRAMS/python/threads.py", patterns: all, least: nearlyAll,
	},
	{
		name: "gunicorn sync", needs: [][]string{module("gunicorn, requests")}, install: "gunicorn python3-requests",
		command: gunicorn + "--workers 4 wsgi:application", patterns: blocking, least: nearlyAll,
	},
	{
		name: "gunicorn gthread", needs: [][]string{module("gunicorn, requests")}, install: "gunicorn python3-requests",
		command:  gunicorn + "--worker-class gthread --workers 2 --threads 16 --keep-alive 60 wsgi:application",
		patterns: all, least: nearlyAll,
	},
	{
		name: "asyncio aiohttp", needs: [][]string{module("aiohttp")}, install: "python3-aiohttp",
		command: python + " PROGRAMS/python/aiohttp_service.py", patterns: all, least: handed,
	},
	{
		name: "asyncio uvicorn, httpx", needs: [][]string{module("uvicorn, httpx")}, install: "python3-uvicorn python3-httpx",
		command: python + " PROGRAMS/python/uvicorn_service.py", patterns: all, least: handed,
	},
	{
		name: "Ruby Puma", needs: [][]string{{"puma", "--version"}}, install: "puma",
		command: "puma --quiet --environment production --threads 16:16 --bind tcp://127.0.0.1:LISTEN PROGRAMS/ruby/config.ru", patterns: all,
		least: nearlyAll,
	},
	{
		name: "Java blocking", needs: [][]string{{"javac", "-version"}}, install: "default-jdk-headless", build: javac,
		command: "java -cp WORK/java Blocking fixed", patterns: all, least: nearlyAll,
	},
	{
		name: "Java virtual threads", needs: [][]string{{"javac", "-version"}, {"PROGRAMS/java/java21", "-version"}},
		install: "default-jdk-headless, openjdk-21-jre-headless", build: javac,
		command: "PROGRAMS/java/java21 -cp WORK/java Blocking virtual", patterns: all, least: handed,
	},
	{
		name: "Java HttpClient", needs: [][]string{{"javac", "-version"}}, install: "default-jdk-headless", build: javac,
		command: "java -cp WORK/java Client", patterns: all, least: handed,
	},
	{
		name: "Java NIO", needs: [][]string{{"javac", "-version"}}, install: "default-jdk-headless", build: javac,
		command: "java -cp WORK/java Nio", patterns: all, least: handed,
	},
	{
		name: "PHP", needs: [][]string{phpCurl}, install: "php-cli php-curl",
		command: "env PHP_CLI_SERVER_WORKERS=8 php -q -S 127.0.0.1:LISTEN PROGRAMS/php/index.php", patterns: all, least: nearlyAll,
	},
	{
		name: "PHP-FPM behind nginx", needs: [][]string{{"sh", "-c", "ls /usr/sbin/php-fpm*"}, {"nginx", "-v"}, phpCurl},
		install: "php-fpm php-curl nginx-light", config: "fpm/nginx.conf",
		command: "PROGRAMS/fpm/run CONFIG", patterns: all, unseen: "FastCGI: the request is nginx's, and no span of this process is its parent",
	},
	{
		name: "nginx", needs: [][]string{{"nginx", "-v"}}, install: "nginx-light", config: "proxy/nginx.conf",
		command: "nginx -e stderr -p DIR -c CONFIG", patterns: proxies, forwards: true, least: nearlyAll,
	},
	{
		name: "HAProxy", needs: [][]string{{"haproxy", "-v"}}, install: "haproxy", config: "proxy/haproxy.cfg",
		command: "haproxy -db -f CONFIG", patterns: proxies, forwards: true, least: nearlyAll,
	},
	{
		name: "C epoll proxy", needs: [][]string{{"gcc", "--version"}}, install: "gcc libc6-dev",
		build: "gcc -O2 -Wall -Wextra -Werror -o WORK/causality-proxy PROGRAMS/c/proxy.c", command: "WORK/causality-proxy", patterns: proxies, forwards: true,
	},
}

const javac = "javac -encoding UTF-8 -d WORK/java PROGRAMS/java/Service.java PROGRAMS/java/Blocking.java PROGRAMS/java/Client.java PROGRAMS/java/Nio.java"
