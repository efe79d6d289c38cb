//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// databaseObservations are compared. The first is without a collector.
var databaseObservations = []observation{
	{name: "collector off", off: true},
	{name: "metrics alone", signals: []string{"metrics"}},
	{name: "spans", signals: []string{"traces"}},
}

// databaseConnections are those of each load.
const databaseConnections = 8

// measureDatabases compares how fast databases answer their own load programs, without the collector and with it. Load and server are on
// one core, so that one is left for the collector.
func measureDatabases(s *settings) (err error) {
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // PostgreSQL does not run as root
		return err
	}
	servers := map[string]func(dir string) (*server, int, error){"postgres": startPostgres, "redis": startRedis, "mariadb": startMariaDB}
	running, ports := map[string]*server{}, map[string]int{}
	for name, start := range servers {
		dir := filepath.Join(s.dir, name+"-loaded")
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as above
			return err
		}
		if running[name], ports[name], err = start(dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, running[name].stop()) }()
	}
	if _, _, err := runOn(serverProcessor, "pgbench", "-h", "127.0.0.1", "-p", strconv.Itoa(ports["postgres"]), "-U", "postgres", "-i", "-q", "postgres"); err != nil {
		return err
	}
	for _, load := range []struct {
		name, server string
		run          func(port, seconds int) (served, error)
	}{
		{"PostgreSQL, pgbench -S, simple queries", "postgres", loadPostgres("simple")},
		{"PostgreSQL, pgbench -S, prepared statements", "postgres", loadPostgres("prepared")},
		{"redis, redis-benchmark, GET, -P 1", "redis", loadRedisPipelined(1)},
		{"redis, redis-benchmark, GET, -P 16", "redis", loadRedisPipelined(16)},
		{"MariaDB, mariadb-slap, SELECT", "mariadb", loadMariaDB},
	} {
		c, err := compareServed(s, databaseObservations, running[load.server], func() (served, error) {
			return load.run(ports[load.server], max(1, s.seconds/2))
		})
		if err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
		c.printDatabase(fmt.Sprintf("%s, %d connections, load and server on one core", load.name, databaseConnections))
	}
	return nil
}

// startPostgres runs PostgreSQL as the user that its package makes.
func startPostgres(dir string) (*server, int, error) {
	owner, err := user.Lookup("postgres")
	if err != nil {
		return nil, 0, err
	}
	uid, uidErr := strconv.Atoi(owner.Uid)
	gid, gidErr := strconv.Atoi(owner.Gid)
	found, globErr := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	port, portErr := freePort()
	if err := errors.Join(uidErr, gidErr, globErr, portErr, os.Chown(dir, uid, gid)); err != nil {
		return nil, 0, err
	}
	if len(found) == 0 {
		return nil, 0, errors.New("there is no PostgreSQL: apt-get install postgresql")
	}
	as := []string{"setpriv", "--reuid", owner.Uid, "--regid", owner.Gid, "--clear-groups"}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(as[0], append(as[1:], filepath.Join(filepath.Dir(found[0]), "initdb"), "--pgdata", data, "--auth", "trust", "--no-sync", "--no-locale")...)
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, 0, fmt.Errorf("initdb: %w:\n%s", err, out)
	}
	s, err := startServer(port, append(as, found[0], "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir, "-F")...)
	return s, port, err
}

func startMariaDB(dir string) (*server, int, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	data := filepath.Join(dir, "data")
	made := exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := made.CombinedOutput(); err != nil {
		return nil, 0, fmt.Errorf("mariadb-install-db: %w:\n%s", err, out)
	}
	file := filepath.Join(dir, "start.sql")
	if err := os.WriteFile(file, []byte("CREATE DATABASE bench;\nCREATE USER bench;\nGRANT ALL ON *.* TO bench;\nCREATE TABLE bench.items (id INT PRIMARY KEY, name TEXT);\n"+
		"INSERT INTO bench.items VALUES (7, 'name');\n"), 0o600); err != nil {
		return nil, 0, err
	}
	s, err := startServer(port, "mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--skip-name-resolve",
		"--socket="+filepath.Join(dir, "socket"), "--pid-file="+filepath.Join(dir, "pid"), "--init-file="+file)
	return s, port, err
}

var (
	pgbenchCount = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
	pgbenchRate  = regexp.MustCompile(`tps = ([0-9.]+) `)
	slapSeconds  = regexp.MustCompile(`Average number of seconds to run all queries: ([0-9.]+) seconds`)
)

// figure is the number that a program has written.
func figure(pattern *regexp.Regexp, out string) (float64, error) {
	match := pattern.FindStringSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("it wrote no %q:\n%s", pattern, out)
	}
	return strconv.ParseFloat(match[1], 64)
}

// loadPostgres selects rows by their keys.
func loadPostgres(mode string) func(port, seconds int) (served, error) {
	return func(port, seconds int) (served, error) {
		out, cpu, err := runOn(serverProcessor, "pgbench", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "postgres", "-S", "-n", "-M", mode,
			"-c", strconv.Itoa(databaseConnections), "-T", strconv.Itoa(seconds), "postgres")
		if err != nil {
			return served{}, err
		}
		n, countErr := figure(pgbenchCount, out)
		rate, rateErr := figure(pgbenchRate, out)
		return served{rate: rate, n: n, cpu: cpu}, errors.Join(countErr, rateErr)
	}
}

// loadRedisPipelined gets a value, with so many commands in each write.
func loadRedisPipelined(depth int) func(port, seconds int) (served, error) {
	return func(port, seconds int) (served, error) {
		return benchmarkRedis(port, serverProcessor, 50_000*seconds*min(depth, 4), "-c", strconv.Itoa(databaseConnections), "-P", strconv.Itoa(depth))
	}
}

// loadMariaDB selects a row by its key, as text.
func loadMariaDB(port, seconds int) (served, error) {
	n := 5_000 * seconds
	out, cpu, err := runOn(serverProcessor, "mariadb-slap", "--no-defaults", "-h", "127.0.0.1", "-P", strconv.Itoa(port), "--protocol=tcp", "-u", "bench", "--create-schema=bench", "--no-drop",
		"--query=SELECT name FROM items WHERE id = 7", "--concurrency="+strconv.Itoa(databaseConnections), "--number-of-queries="+strconv.Itoa(n))
	if err != nil {
		return served{}, err
	}
	took, err := figure(slapSeconds, out)
	if err != nil || took == 0 {
		return served{}, errors.Join(err, fmt.Errorf("%d queries in %s", n, time.Duration(took*1e9)))
	}
	return served{rate: float64(n) / took, n: float64(n), cpu: cpu}, nil
}

func (c *comparison) printDatabase(title string) {
	fmt.Printf("%s, medians of %d rounds (least to most):\n\n| | statements a second | ratio | CPU of the server, µs per statement | ratio | the collector's "+
		"| exchanges emitted per statement | events lost |\n|---|---:|---:|---:|---:|---:|---:|---:|\n", title, len(c.figures[0]))
	for i, a := range c.arms {
		fmt.Printf("| %s | %.0f | %s | %.1f | %s | %.1f | %.2f | %.0f |\n", a.name, c.value(i, perSecond).median, c.ratio(i, perSecond).format(2),
			c.value(i, cpuOfServer).median, c.ratio(i, cpuOfServer).format(2), c.value(i, cpuOfCollector).median, c.value(i, exchangesEmitted).median, c.value(i, eventsLost).median)
	}
	fmt.Println()
}
