package configschema

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const root = "../../.."

// keys are found once: the receiver is asked about each.
var keys = sync.OnceValues(func() (*Key, error) { return Keys(root) })

func allKeys(t *testing.T) *Key {
	t.Helper()
	top, err := keys()
	require.NoError(t, err)
	return top
}

// compiled is the schema of a collector's file, and that of the receiver's part of it.
func compiled(t *testing.T) (file, config *jsonschema.Schema) {
	t.Helper()
	text, err := JSON(allKeys(t))
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("schema.json", document))
	file, err = compiler.Compile("schema.json")
	require.NoError(t, err)
	config, err = compiler.Compile("schema.json#/$defs/socketflow")
	require.NoError(t, err)
	return file, config
}

func parsed(t *testing.T, text []byte) (value map[string]any) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal(text, &value), string(text))
	return value
}

// TestGenerated: what is in docs/ is what the types give.
func TestGenerated(t *testing.T) {
	schema, err := JSON(allKeys(t))
	require.NoError(t, err)
	sample, err := Sample(allKeys(t), false)
	require.NoError(t, err)
	for name, want := range map[string][]byte{"config.schema.json": schema, "all-keys.yaml": sample} {
		got, err := os.ReadFile(filepath.Join(root, "docs", name))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "docs/%s is as it was before; run make generate", name)
	}
}

// TestSample: every key of the sample is right, for the schema and for the receiver, and so are the examples.
func TestSample(t *testing.T) {
	file, _ := compiled(t)
	for _, filled := range []bool{false, true} {
		text, err := Sample(allKeys(t), filled)
		require.NoError(t, err)
		sample := parsed(t, text)
		assert.NoError(t, file.Validate(sample))
		config := sample["receivers"].(map[string]any)["socketflow"].(map[string]any)
		assert.NoError(t, load(config))
	}
}

// otherFiles are the first keys of YAML in documents that is not of a collector.
var otherFiles = regexp.MustCompile(`^(dist|scrape_configs|apiVersion|image|groups):`)

// TestExamplesAndDocuments: every example, and all YAML in documents, is right for the schema.
func TestExamplesAndDocuments(t *testing.T) {
	file, config := compiled(t)
	for _, pattern := range []string{"examples/*.yaml", "examples/*/*.yaml", "docs/all-keys.yaml"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, names, pattern)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.NoError(t, file.Validate(parsed(t, text)), name)
		}
	}
	checked := 0
	for name, block := range documentBlocks(t) {
		if otherFiles.MatchString(uncommented(block)) {
			continue
		}
		value := parsed(t, []byte(block))
		if _, whole := value["receivers"]; whole {
			assert.NoError(t, file.Validate(value), name)
		} else {
			assert.NoError(t, config.Validate(value), name)
		}
		checked++
	}
	require.Greater(t, checked, 3, "the documents have configurations")
}

func uncommented(block string) string {
	return regexp.MustCompile(`(?m)^\s*(#.*)?\n`).ReplaceAllString(block, "")
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// documentBlocks are all blocks of YAML in Markdown, by where they are.
func documentBlocks(t *testing.T) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "receiver/*.md", "examples/*/*.md", "packaging/*/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			for i, found := range yamlBlock.FindAllSubmatch(text, -1) {
				blocks[fmt.Sprintf("%s, block %d", name, i+1)] = string(found[1])
			}
		}
	}
	return blocks
}

// TestSchemaRefuses: what the receiver refuses because of its form, the schema does.
func TestSchemaRefuses(t *testing.T) {
	_, config := compiled(t)
	for _, text := range []string{
		"unknown: 1", "ringbuffer: {}", "limits: {socket: 100}", "limits: {sockets: 1}", "limits: {sockets: many}", "limits: 5",
		"mode: kprobe", "mode: true", "poll_interval: 10", "poll_interval: soon", "poll_interval: 0s", "poll_interval: 0", "batch: {timeout: 0.0ms}", "sampling: {ratio: 2}", "exclude_self: never",
		"payload: {call_limit: 64Kibit}", "include: /bin/sh", "include: [{exe: /bin/sh}]", "include: [{local_port: 0}]",
		"include: [{local_port: http}]", "ring_buffer: {shards: 3}", "connection_records: [close, closed]", "connection_records: [fail, fail]",
		"protocols: [gopher]", "protocols: http", "protocols: {http: {header: {}}}", "protocols: {redis: {foo: 1}}",
		"protocols: {http: {propagators: [w3c]}}", "trace: {observed_networks: [10]}", "metrics: {peers: [{port: 70000}]}",
		"resource_attributes: {process.cmd: {enabled: true}}", "resource_attributes: {host.id: false}",
	} {
		value := parsed(t, []byte(text))
		assert.Error(t, config.Validate(value), text)
		assert.Error(t, load(value), text)
	}
	many := make([]any, 257)
	for i := range many {
		many[i] = fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)
	}
	assert.Error(t, config.Validate(map[string]any{"trace": map[string]any{"observed_networks": many}}))
	assert.NoError(t, config.Validate(map[string]any{"trace": map[string]any{"observed_networks": many[:256]}}))
}

// TestSchemaAccepts: the cases that the receiver's own tests accept.
func TestSchemaAccepts(t *testing.T) {
	_, config := compiled(t)
	text, err := os.ReadFile(filepath.Join(root, "receiver", "testdata", "config", "accepted.yaml"))
	require.NoError(t, err)
	for name, value := range parsed(t, text) {
		assert.NoError(t, config.Validate(value), name)
	}
	for _, text := range []string{"limits: {sockets: '${env:SOCKETS}'}", "mode: ${env:MODE}", "exclude_self:", "poll_interval: 1m30s", "protocols: {dns: }"} {
		assert.NoError(t, config.Validate(parsed(t, []byte(text))), text)
	}
}

// TestTableOfKeys: docs/configuration.md has each key in its table, with its default and with what can be written.
func TestTableOfKeys(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	require.NoError(t, err)
	rows := tableRows(string(document))
	require.NoError(t, eachKey(allKeys(t), func(k *Key) error {
		checkRow(t, k, rows, string(document))
		return nil
	}))
}

// resourceAttribute is the row of all attributes of the resource.
var resourceAttribute = regexp.MustCompile(`^resource_attributes::.*::enabled$`)

func checkRow(t *testing.T, k *Key, rows map[string]row, document string) {
	if k.kind == section || k.kind == protocols && len(k.Keys) == 0 {
		return
	}
	if strings.Contains(k.Path, "::[]") || strings.HasPrefix(k.Path, "include::") || strings.HasPrefix(k.Path, "exclude::") {
		if k.Name != "[]" {
			assert.Regexp(t, "\\b"+k.Name+"\\b", document, k.Path)
		}
		return
	}
	path := resourceAttribute.ReplaceAllString(k.Path, "resource_attributes::<name>::enabled")
	if of, ok := strings.CutPrefix(path, "protocols::fastcgi::"); ok { // has the keys of http, with a row for all
		first, _, _ := strings.Cut(of, "::")
		assert.Contains(t, rows, "protocols::fastcgi::"+first)
		path = "protocols::http::" + of
	}
	found, ok := rows[path]
	if !assert.True(t, ok, "%s is not in the table", path) {
		return
	}
	if k.Default != nil && k.Path != "ring_buffer::size" { // whose default depends on the CPUs
		want := strings.NewReplacer("[", "", "]", "", " ", ", ").Replace(fmt.Sprint(k.Default))
		assert.Contains(t, found.fallback, want, "the default of %s", path)
	}
	for _, word := range append(k.Words, elementWords(k)...) {
		assert.Contains(t, found.fallback+found.meaning, word, path)
	}
	if k.High != "" {
		meaning := strings.ReplaceAll(found.meaning, "4KiB) to", "4KiB to")
		assert.Regexp(t, `\b(`+regexp.QuoteMeta(k.Low)+` to|up to) `+regexp.QuoteMeta(k.High)+`\b`, meaning, path)
	}
	if k.MaxElements > 0 {
		assert.Contains(t, found.meaning, fmt.Sprintf("at most %d", k.MaxElements), path)
	}
}

func elementWords(k *Key) []string {
	if k.Element == nil {
		return nil
	}
	return k.Element.Words
}

// row is what the table says of a key.
type row struct{ fallback, meaning string }

var (
	tableRow = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| ([^|]*) \\| (.*) \\|$")
	keyName  = regexp.MustCompile("`([^`]+)`")
)

// tableRows are by the paths of keys. `::name` stands beside the key before it.
func tableRows(document string) map[string]row {
	rows := map[string]row{}
	for _, found := range tableRow.FindAllStringSubmatch(document, -1) {
		var last string
		for _, name := range keyName.FindAllStringSubmatch(found[1], -1) {
			path := name[1]
			if short, isShort := strings.CutPrefix(path, "::"); isShort {
				path = last[:strings.LastIndex(last, "::")+2] + short
			}
			last = path
			rows[path] = row{found[2], found[3]}
		}
	}
	return rows
}
