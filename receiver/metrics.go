package receiver

import (
	"errors"
	"fmt"

	"github.com/socketflow/socketflow/internal/metrics"
)

// Validate reports everything that is wrong with the metrics.
func (c *MetricsConfig) Validate() error {
	errs := []error{
		within("interval", c.Interval, minInterval, maxInterval),
		oneOf("temporality", c.Temporality),
		oneOf("histograms", c.Histograms),
		oneOf("resource", c.Resource),
		within("stale_after", c.StaleAfter, minStale, maxStale),
	}
	if n := len(c.Peers); n > maxNetworks {
		errs = append(errs, fmt.Errorf("peers: lists %d; write at most %d", n, maxNetworks))
	}
	return inline(errs...)
}

// Validate reports everything that is wrong with a peer.
func (c *PeerConfig) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name: write what the service is called"))
	}
	if _, err := networkOf(c.CIDR); err != nil {
		errs = append(errs, fmt.Errorf("cidr: %w", err))
	}
	errs = append(errs, within("port", c.Port, 0, maxPort))
	return inline(errs...)
}

const maxPort = 65535

// metricsOptions are those of the metrics of a configuration that has been validated.
func (c *Config) metricsOptions() (o metrics.Options, err error) {
	o = metrics.Options{
		Interval: c.Metrics.Interval, StaleAfter: c.Metrics.StaleAfter, Series: c.Limits.Series,
		Delta: c.Metrics.Temporality == TemporalityDelta, Exponential: c.Metrics.Histograms == HistogramsExponential,
		LearnRoutes: c.Metrics.LearnRoutes, Phases: c.Metrics.Phases, ByService: c.Metrics.Resource == MetricsResourceService,
	}
	for i := range c.Metrics.Peers {
		p := &c.Metrics.Peers[i]
		network, err := networkOf(p.CIDR)
		if err != nil {
			return metrics.Options{}, err
		}
		o.Peers = append(o.Peers, metrics.Network{Name: p.Name, Prefix: network, Port: uint16(p.Port)})
	}
	return o, nil
}
