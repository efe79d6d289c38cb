package receiver

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"

	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// load does what the collector does with a receiver's part of its configuration.
func load(t *testing.T, conf *confmap.Conf) (*Config, error) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

// resourceAttributes are the default ones with changes: names and whether they are enabled.
func resourceAttributes(t *testing.T, changes ...any) metadata.ResourceAttributesConfig {
	t.Helper()
	enabled := map[string]any{}
	for i := 0; i < len(changes); i += 2 {
		enabled[changes[i].(string)] = map[string]any{"enabled": changes[i+1]}
	}
	c := metadata.DefaultResourceAttributesConfig()
	require.NoError(t, confmap.NewFromStringMap(enabled).Unmarshal(&c))
	return c
}

func TestConfigAccepted(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config", "accepted.yaml"))
	require.NoError(t, err)

	changed := func(change func(*Config)) *Config {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		return cfg
	}
	want := map[component.ID]*Config{
		component.NewID(metadata.Type): changed(func(*Config) {}),
		component.NewIDWithName(metadata.Type, "everything"): {
			Mode:          ModeSocket,
			Attachment:    AttachmentFunction,
			OnUnsupported: OnUnsupportedWarn,
			Include: []Selector{
				{Executable: "/usr/sbin/nginx", LocalPort: PortRange(80, 80)},
				{Executable: "**/python3*", RemotePort: PortRange(8000, 8999)},
				{PID: 4711},
				{ContainerID: "0123456789ab"},
				{CgroupPath: "/kubepods.slice/**"},
			},
			Exclude: []Selector{
				{LocalPort: PortRange(22, 22)},
				{RemotePort: PortRange(1, 65535)},
			},
			Instrumented:      InstrumentedSkip,
			AddressAttributes: AddressAttributesBoth,
			ConnectionRecords: []ConnectionRecord{ConnectionRecordOpen},
			ConnectionSpans:   ConnectionSpansNever,
			Transports:        []Transport{TransportTCP, TransportUnix},
			Protocols: ProtocolsConfig{"http": &http.Config{
				Headers: http.HeadersConfig{
					Request: []string{"X-Request-Id", "Authorization"}, Response: []string{"Server", "x-cache"}, Unredacted: []string{"authorization"},
				},
			}},
			Payload:   PayloadConfig{CallLimit: 4 << 10, BurstLimit: 1 << 20},
			Redaction: RedactionConfig{SecretNames: []string{"tenant"}, SafeNames: []string{"page_token", "code"}},
			Trace:     TraceConfig{Parents: ParentsLikely, Phases: true, ObservedNetworks: []string{"10.0.0.0/8", "fd00::/8", "192.0.2.7/32"}},
			Sampling:  SamplingConfig{Ratio: 0.25, CPULimit: 0.5, Keep: KeepConfig{SlowerThan: time.Second}},
			Metrics: MetricsConfig{
				Interval: time.Minute, Temporality: TemporalityDelta, Histograms: HistogramsExponential, StaleAfter: time.Hour, Resource: MetricsResourceService, LearnRoutes: true, Phases: true,
				Peers: []PeerConfig{{Name: "billing", CIDR: "10.1.0.0/16", Port: 8443}, {Name: "office", CIDR: "fd00::/8"}},
			},
			ResourceAttributes: resourceAttributes(t, "process.command_args", true, "host.id", false),
			RingBuffer:         RingBufferConfig{Size: 4 << 20, Shards: 4},
			PollInterval:       250 * time.Millisecond,
			UDPIdleTimeout:     5 * time.Second,
			Limits: LimitsConfig{
				Sockets: 1000, Processes: 500, Series: 100, Requests: 10, HeadSize: 8 << 10, Memory: 16 << 20, AttributeLength: 1 << 10,
			},
			Completion: CompletionConfig{
				Timeout: 2 * time.Second, LookupAfter: time.Hour,
				SocketEvents: 100, SocketBytes: 64 << 10, Events: 1000, Bytes: 1 << 20,
			},
			Batch:           BatchConfig{Size: 1, Bytes: 64 << 10, Timeout: 10 * time.Second},
			ShutdownTimeout: 30 * time.Second,
		},
		component.NewIDWithName(metadata.Type, "whole_numbers"): changed(func(c *Config) {
			c.Limits.Sockets, c.Batch.Bytes = 1000, 3<<19
		}),
		component.NewIDWithName(metadata.Type, "connections_only"): changed(func(c *Config) { c.Protocols = ProtocolsConfig{} }),
		component.NewIDWithName(metadata.Type, "empty_lists"): changed(func(c *Config) {
			c.Include, c.Exclude, c.ConnectionRecords, c.Redaction.SecretNames = []Selector{}, []Selector{}, []ConnectionRecord{}, []string{}
			c.Trace.ObservedNetworks = []string{}
			c.Protocols = ProtocolsConfig{"http": &http.Config{KnownMethods: []string{}, Headers: http.HeadersConfig{Request: []string{}}}}
		}),
		component.NewIDWithName(metadata.Type, "keys_without_values"): changed(func(*Config) {}),
		component.NewIDWithName(metadata.Type, "sizes"): changed(func(c *Config) {
			c.Limits.HeadSize, c.Limits.Memory, c.Limits.AttributeLength, c.Batch.Bytes = 2000, 64<<20, 1024, 500_000_000
		}),
		component.NewIDWithName(metadata.Type, "nothing_is_kept"): changed(func(c *Config) {
			c.Sampling = SamplingConfig{HonourParent: true}
		}),
		component.NewIDWithName(metadata.Type, "protocol_names"): changed(func(c *Config) { c.Protocols = ProtocolsConfig{"http": &http.Config{}} }),
		component.NewIDWithName(metadata.Type, "bytes"):          changed(func(c *Config) { c.RingBuffer.Size = 65536 }),
		component.NewIDWithName(metadata.Type, "empty_values"): changed(func(c *Config) {
			c.Include = []Selector{{Executable: "/bin/sh"}}
		}),
		component.NewIDWithName(metadata.Type, "patterns"): changed(func(c *Config) {
			c.Include = []Selector{{Executable: "/usr/bin/{curl,wget}"}, {Executable: "{/usr,/opt}/**"}, {Executable: "[/]bin/sh"}}
		}),
	}
	require.Len(t, want, len(conf.ToStringMap()), "each configuration of the file is expected, and no other")
	for id, expected := range want {
		t.Run(id.String(), func(t *testing.T) {
			sub, err := conf.Sub(id.String())
			require.NoError(t, err)
			cfg, err := load(t, sub)
			require.NoError(t, err)
			assert.Equal(t, expected, cfg)
		})
	}
}

// decoding is what the collector puts before an error of Config.Unmarshal.
const decoding = "decoding failed due to the following error(s):\n\n'' "

func TestConfigRefused(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config", "refused.yaml"))
	require.NoError(t, err)
	var cases []struct {
		Name     string         `mapstructure:"name"`
		Config   map[string]any `mapstructure:"config"`
		Error    string         `mapstructure:"error"`
		Contains string         `mapstructure:"contains"`
	}
	require.NoError(t, file.Unmarshal(&struct {
		Cases any `mapstructure:"cases"`
	}{&cases}))
	require.NotEmpty(t, cases)
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			_, err := load(t, confmap.NewFromStringMap(tc.Config))
			if tc.Error != "" {
				require.Error(t, err)
				require.Equal(t, strings.TrimSpace(tc.Error), strings.TrimPrefix(err.Error(), decoding))
				return
			}
			require.NotEmpty(t, tc.Contains, "the case says which error it expects")
			require.ErrorContains(t, err, tc.Contains)
		})
	}
}

func TestConfigSelectorBound(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	for i := range maxSelectors / 2 {
		cfg.Include = append(cfg.Include, Selector{PID: 1 + i})
		cfg.Exclude = append(cfg.Exclude, Selector{PID: 1 + i})
	}
	require.NoError(t, confmap.Validate(cfg))
	cfg.Exclude = append(cfg.Exclude, Selector{PID: 1000})
	require.EqualError(t, confmap.Validate(cfg), "include and exclude hold 65 selectors; write at most 64 in all, "+
		`for example by joining patterns: executable: "/usr/bin/{curl,wget}"`)
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Setenv("SOCKETFLOW_TEST_PORT", "8080")
	t.Setenv("SOCKETFLOW_TEST_PORTS", "8080-8089")
	t.Setenv("SOCKETFLOW_TEST_SIZE", "64KiB")
	t.Setenv("SOCKETFLOW_TEST_ID", "123456789012")
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: []string{"yaml:{ring_buffer: {size: \"${env:SOCKETFLOW_TEST_SIZE}\"}, " +
			"include: [{local_port: \"${env:SOCKETFLOW_TEST_PORT}\", remote_port: \"${env:SOCKETFLOW_TEST_PORTS}\", " +
			"container_id: \"${env:SOCKETFLOW_TEST_ID}\"}]}"},
		ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory(), envprovider.NewFactory()},
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(t.Context())
	require.NoError(t, err)
	cfg, err := load(t, conf)
	require.NoError(t, err)
	assert.Equal(t, []Selector{
		{LocalPort: PortRange(8080, 8080), RemotePort: PortRange(8080, 8089), ContainerID: "123456789012"},
	}, cfg.Include)
	assert.Equal(t, ByteSize(65536), cfg.RingBuffer.Size)
}

// A configuration is also written, for instance to an OpAMP server. A written configuration can be loaded.
func TestConfigRoundTrip(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Include = []Selector{{LocalPort: PortRange(80, 80)}, {RemotePort: PortRange(8000, 8999)}, {PID: 1}}
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	again, err := load(t, conf)
	require.NoError(t, err)
	// The generated type remembers whether a user has set it.
	assert.Equal(t, omittedOf(&cfg.ResourceAttributes), omittedOf(&again.ResourceAttributes))
	again.ResourceAttributes = cfg.ResourceAttributes
	assert.Equal(t, cfg, again)
}

func TestShards(t *testing.T) {
	for _, tc := range []struct{ shards, cpus, want int }{
		{shards: 0, cpus: 0, want: 1},
		{shards: 0, cpus: 1, want: 1},
		{shards: 0, cpus: 2, want: 2},
		{shards: 0, cpus: 3, want: 2},
		{shards: 0, cpus: 7, want: 4},
		{shards: 0, cpus: 8, want: 4},
		{shards: 0, cpus: 192, want: 4},
		{shards: 8, cpus: 192, want: 8},
		{shards: 1, cpus: 192, want: 1},
		{shards: 8, cpus: 1, want: 8},
	} {
		c := RingBufferConfig{Shards: tc.shards}
		assert.Equal(t, tc.want, c.shardsOn(tc.cpus), "%+v", tc)
	}
}

func TestByteSizeString(t *testing.T) {
	for size, want := range map[ByteSize]string{0: "0", 1000: "1000", 1024: "1KiB", 1536: "1536", 2 << 20: "2MiB", 1 << 40: "1024GiB"} {
		assert.Equal(t, want, size.String())
	}
}
