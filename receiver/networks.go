package receiver

import (
	"fmt"
	"net/netip"
	"slices"
)

const maxNetworks = 256

// Validate reports everything that is wrong with the networks.
func (c *TraceConfig) Validate() error {
	const key = "observed_networks"
	errs := []error{oneOf("parents", c.Parents)}
	if n := len(c.ObservedNetworks); n > maxNetworks {
		errs = append(errs, fmt.Errorf("%s: lists %d networks; write at most %d", key, n, maxNetworks))
	}
	for i, text := range c.ObservedNetworks {
		if _, err := networkOf(text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		if slices.Index(c.ObservedNetworks, text) < i {
			errs = append(errs, listedTwice(key, text))
		}
	}
	return inline(errs...)
}

// networks are the networks that have been validated.
func (c *TraceConfig) networks() (networks []netip.Prefix, err error) {
	for _, text := range c.ObservedNetworks {
		network, err := networkOf(text)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// networkOf reads a network as it is written in a configuration.
func networkOf(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf(`%q is no network; write its address and how many bits of it count, for example "10.0.0.0/8" or "fd00::/8"`, text)
	case network.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf(`%q matches no address; write networks of IPv4 as such, for example "10.0.0.0/8"`, text)
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits behind those that count; write %q", text, network.Masked())
	default:
		return network, nil
	}
}
