//go:build amd64

package preflight

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// ofNPM is what the file of a Node.js of npm begins with here, before its major version.
const ofNPM = "npm:"

// tablePrograms are programs of Debian and of npm, with the files in which they do TLS: their own, or a module of theirs.
var tablePrograms = []struct{ program, pkg, file string }{
	{"curl", "curl", "/usr/bin/curl"},
	{"git", "git", "/usr/lib/git-core/git-remote-http"},
	{"wget", "wget", "/usr/bin/wget"},
	{"lynx", "lynx", "/usr/bin/lynx"},
	{"gnutls-cli, gnutls-serv", "gnutls-bin", "/usr/bin/gnutls-cli"},
	{"Python", "libpython3-stdlib", "/usr/lib/python3*/lib-dynload/_ssl.*.so"},
	{"Python's pycurl", "python3-pycurl", "/usr/lib/python3/dist-packages/pycurl.*.so"},
	{"Ruby", "ruby", "/usr/lib/*/ruby/3*/openssl.so"},
	{"PHP", "php-cli", "/usr/bin/php[0-9]*"},
	{"Node.js", "nodejs", "/usr/bin/node"},
	{"Node.js of npm", "node@18", ofNPM + "18"},
	{"Node.js of npm", "node@24", ofNPM + "24"},
	{"nginx", "nginx-light", "/usr/sbin/nginx"},
	{"Apache, mod_ssl", "apache2-bin", "/usr/lib/apache2/modules/mod_ssl.so"},
	{"HAProxy", "haproxy", "/usr/sbin/haproxy"},
	{"PostgreSQL", "postgresql", "/usr/lib/postgresql/*/bin/postgres"},
	{"psql and all that has libpq", "libpq5", "/usr/lib/*/libpq.so.5"},
	{"MariaDB", "mariadb-server-core", "/usr/sbin/mariadbd"},
	{"all that has libmariadb", "libmariadb3", "/usr/lib/*/libmariadb.so.3"},
	{"Redis", "redis-server", "/usr/bin/redis-server"},
	{"all that has libldap", "libldap-2.5-0", "/usr/lib/*/libldap-2.5.so.0"},
	{"rsyslog, gtls", "rsyslog-gnutls", "/usr/lib/*/rsyslog/lmnsd_gtls.so"},
	{"etcd", "etcd-server", "/usr/bin/etcd"},
	{"Java", "default-jdk-headless", "/usr/lib/jvm/java-*/lib/server/libjvm.so"},
	{"Erlang", "erlang-base", "/usr/lib/erlang/erts-*/bin/beam.smp"},
	{"all that has NSS (Firefox)", "libnss3", "/usr/lib/*/libssl3.so"},
	{"all that has Mbed TLS", "libmbedtls14", "/usr/lib/*/libmbedtls.so.14"},
	{"all that has wolfSSL", "libwolfssl35", "/usr/lib/*/libwolfssl.so.35"},
}

const (
	tableFile  = "../../docs/tls.md"
	tableBegin = "| Program | Package | Library | Seen |\n| --- | --- | --- | --- |\n"
)

// TestTableOfProgramsInTheDocumentation has each program of the table on this host looked at. With -update it writes the table; the lines of programs
// that this host does not have stay.
func TestTableOfProgramsInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), tableBegin)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, "\n\n")
	require.True(t, ok)
	lines := strings.Split(table, "\n")
	var missing, made []string
	for _, p := range tablePrograms {
		begin := fmt.Sprintf("| %s | `%s` | ", p.program, p.pkg)
		known := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, begin) })
		paths := tableFiles(t, p.file)
		if len(paths) == 0 {
			missing = append(missing, p.pkg)
			if known >= 0 {
				made = append(made, lines[known])
			}
			continue
		}
		line := begin + cells(t, paths[len(paths)-1])
		made = append(made, line)
		if !*update {
			assert.Contains(t, lines, line, "go test ./internal/preflight -run Table -update writes it")
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(tableFile, []byte(before+tableBegin+strings.Join(made, "\n")+"\n\n"+after), 0o644))
	} else {
		assert.Len(t, lines, len(made), "lines of programs that are not in the list")
	}
	if len(missing) > 0 {
		testenv.Lacking(t, "apt-get install %s", strings.Join(missing, " "))
	}
}

// tableFiles are those that a program of the table may have.
func tableFiles(t *testing.T, file string) []string {
	t.Helper()
	if major, is := strings.CutPrefix(file, ofNPM); is {
		return []string{testenv.NPMNode(t, major)}
	}
	paths, err := filepath.Glob(file)
	require.NoError(t, err)
	return paths
}

// cells are the library of a program, and whether requests in it are seen.
func cells(t *testing.T, path string) string {
	t.Helper()
	s := newSurvey()
	var files []programFile
	for _, file := range loaded(t, path) {
		files = append(files, programFile{file, func() (*os.File, error) { return os.Open(file) }})
	}
	found := s.of(files[0].path, files)
	if len(found) == 0 {
		return "none | – |"
	}
	var names, seen []string
	for _, l := range found {
		names = append(names, l.Library)
		if l.Covered {
			seen = append(seen, "yes")
		} else {
			seen = append(seen, "no: "+l.Why)
		}
	}
	return strings.Join(slices.Compact(names), ", ") + " | " + strings.Join(slices.Compact(seen), ", ") + " |"
}

// loaded are a file and the libraries that the dynamic linker loads for it.
func loaded(t *testing.T, path string) []string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	require.NoError(t, err)
	all := []string{path}
	for i := 0; i < len(all); i++ {
		file, err := elf.Open(all[i])
		require.NoError(t, err)
		names, err := file.ImportedLibraries()
		require.NoError(t, err)
		runPaths, err := file.DynString(elf.DT_RUNPATH)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		for _, name := range names {
			for _, dir := range append(runPaths, "/usr/lib/x86_64-linux-gnu", "/usr/lib") {
				dir = strings.ReplaceAll(dir, "$ORIGIN", filepath.Dir(all[i]))
				if found, err := filepath.EvalSymlinks(filepath.Join(dir, name)); err == nil {
					if !slices.Contains(all, found) {
						all = append(all, found)
					}
					break
				}
			}
		}
	}
	return all
}
