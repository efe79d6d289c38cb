// Package documents checks what the repository's documents say of the repository: their links, names of files, and forms.
package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const root = "../../.."

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code    = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	anchor  = regexp.MustCompile(`<a id="([^"]+)">`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

// documents are all Markdown files that git knows, or would.
func documents(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	names := strings.Fields(string(out))
	require.Greater(t, len(names), 20)
	return names
}

// anchors are those that GitHub gives the headings of a document.
func anchors(text string) (all []string) {
	for _, found := range heading.FindAllStringSubmatch(regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, ""), -1) {
		title := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(found[1], "$1")
		var id strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(title)) {
			switch {
			case r == ' ':
				id.WriteByte('-')
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				id.WriteRune(r)
			}
		}
		all = append(all, id.String())
	}
	for _, found := range anchor.FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

// TestLinks: every relative link leads to a file that is there, and to a heading that is in it.
func TestLinks(t *testing.T) {
	checked := 0
	for _, name := range documents(t) {
		text := read(t, name)
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			target, wanted, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, ":") || strings.HasPrefix(target, "<") {
				continue
			}
			checked++
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
			}
			info, err := os.Stat(filepath.Join(root, file))
			if !assert.NoError(t, err, "%s links to %s", name, found[1]) || wanted == "" || info.IsDir() || !strings.HasSuffix(file, ".md") {
				continue
			}
			assert.True(t, slices.Contains(anchors(read(t, file)), wanted), "%s links to %s, and there is no such heading", name, found[1])
		}
	}
	require.Greater(t, checked, 100)
}

var (
	goFile = regexp.MustCompile("`([a-z0-9_]+\\.go)`")
	target = regexp.MustCompile(`(?m)^(?:sudo env "PATH=\$PATH" )?make ([a-z0-9-]+)`)
)

// TestContributing: the files of the worked example are there, and the targets of the Makefile.
func TestContributing(t *testing.T) {
	text := read(t, "CONTRIBUTING.md")
	files := goFile.FindAllStringSubmatch(text, -1)
	require.Greater(t, len(files), 10)
	for _, found := range files {
		_, err := os.Stat(filepath.Join(root, "internal", "protocol", "redis", found[1]))
		assert.NoError(t, err)
	}
	for _, path := range regexp.MustCompile("`((?:internal|docs|testdata/programs)/[a-z0-9_/.]+)`").FindAllStringSubmatch(text, -1) {
		file := strings.Replace(path[1], "testdata/", "internal/integration/e2e/testdata/", 1)
		_, err := os.Stat(filepath.Join(root, file))
		assert.NoError(t, err)
	}
	makefile := read(t, "Makefile")
	targets := target.FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, targets)
	for _, found := range targets {
		assert.Contains(t, makefile, "\n"+found[1]+":")
	}
}

// TestIssueForms: they are in the form that GitHub takes, and ask for what a report needs.
func TestIssueForms(t *testing.T) {
	folder := filepath.Join(".github", "ISSUE_TEMPLATE")
	for _, name := range []string{"bug.yml", "feature.yml"} {
		var form struct {
			Name        string   `yaml:"name"`
			Description string   `yaml:"description"`
			Labels      []string `yaml:"labels"`
			Body        []struct {
				Type        string          `yaml:"type"`
				ID          string          `yaml:"id"`
				Attributes  map[string]any  `yaml:"attributes"`
				Validations map[string]bool `yaml:"validations"`
			} `yaml:"body"`
		}
		decoder := yaml.NewDecoder(strings.NewReader(read(t, filepath.Join(folder, name))))
		decoder.KnownFields(true)
		require.NoError(t, decoder.Decode(&form), name)
		assert.NotEmpty(t, form.Name)
		assert.NotEmpty(t, form.Description)
		seen := map[string]bool{}
		for _, part := range form.Body {
			if part.Type == "markdown" {
				assert.NotEmpty(t, part.Attributes["value"])
				continue
			}
			assert.Contains(t, []string{"textarea", "input", "dropdown", "checkboxes"}, part.Type)
			assert.NotEmpty(t, part.Attributes["label"])
			assert.False(t, seen[part.ID], "%s: %s is there twice", name, part.ID)
			seen[part.ID] = true
		}
		if name == "bug.yml" {
			for _, id := range []string{"check", "configuration", "versions"} {
				assert.True(t, seen[id], id)
			}
		}
	}
}

// TestCodeOwners: every path is there.
func TestCodeOwners(t *testing.T) {
	for line := range strings.Lines(read(t, filepath.Join(".github", "CODEOWNERS"))) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		require.Greater(t, len(fields), 1, line)
		if fields[0] != "*" {
			_, err := os.Stat(filepath.Join(root, fields[0]))
			assert.NoError(t, err)
		}
	}
}
