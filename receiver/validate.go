package receiver

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/redact"
)

// Validate reports everything that is wrong at this level. The collector validates the parts itself, and puts their keys before their
// messages.
func (c *Config) Validate() error {
	var errs []error
	errs = append(errs,
		oneOf("mode", c.Mode, ModeAuto, ModeSocket, ModeSyscall),
		oneOf("attachment", c.Attachment, AttachmentAuto, AttachmentTracepoint, AttachmentFunction),
		oneOf("on_unsupported", c.OnUnsupported, OnUnsupportedFail, OnUnsupportedWarn),
		oneOf("address_attributes", c.AddressAttributes, AddressAttributesBoth, AddressAttributesStable, AddressAttributesV120,
			AddressAttributesV112),
		oneOf("connection_spans", c.ConnectionSpans, ConnectionSpansAuto, ConnectionSpansAlways, ConnectionSpansNever),
		within("poll_interval", c.PollInterval, minPollInterval, maxPollInterval),
		within("udp_idle_timeout", c.UDPIdleTimeout, time.Second, time.Hour),
		within("shutdown_timeout", c.ShutdownTimeout, minShutdown, maxShutdown),
	)
	for _, record := range c.ConnectionRecords {
		errs = append(errs, oneOf("connection_records", record, ConnectionRecordOpen, ConnectionRecordClose, ConnectionRecordFail))
	}
	for _, transport := range c.Transports {
		errs = append(errs, oneOf("transports", transport, TransportTCP, TransportUDP, TransportUnix))
	}
	if !slices.Contains(c.Transports, TransportTCP) {
		errs = append(errs, errors.New(`transports: TCP is always watched; add "tcp" to the list`))
	}
	if n := len(c.Include) + len(c.Exclude); n > maxSelectors {
		errs = append(errs, fmt.Errorf("include and exclude hold %d selectors; write at most %d in all, "+
			`for example by joining patterns: executable: "/usr/bin/{curl,wget}"`, n, maxSelectors))
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with the sizes.
func (c *RingBufferConfig) Validate() error {
	var errs []error
	page := ByteSize(os.Getpagesize())
	switch {
	case c.Size == 0:
	case c.Size < page || c.Size > maxRingBuffer:
		errs = append(errs, fmt.Errorf("size: write a power of two from %d (a page of memory here) to %d bytes, for example 2MiB, not %d",
			page, maxRingBuffer, c.Size))
	case bits.OnesCount64(uint64(c.Size)) != 1:
		below := ByteSize(1) << (bits.Len64(uint64(c.Size)) - 1)
		errs = append(errs, fmt.Errorf("size: the kernel wants a power of two; write %s or %s, not %d", below, 2*below, c.Size))
	}
	if c.Shards < 0 || c.Shards > maxShards || bits.OnesCount(uint(c.Shards)) > 1 {
		errs = append(errs, fmt.Errorf("shards: write 1, 2, 4 or %d, or 0 for as many as the CPUs call for, not %d", maxShards, c.Shards))
	}
	return inline(errs...)
}

// Validate says everything that is wrong with the bounds.
func (c *PayloadConfig) Validate() error {
	return inline(
		within("call_limit", c.CallLimit, minCallLimit, maxCallLimit),
		within("burst_limit", c.BurstLimit, minBurstLimit, maxBurstLimit),
		partOfAll("call_limit", c.CallLimit, "burst_limit", c.BurstLimit),
	)
}

// Validate reports everything that is wrong with the names.
func (c *RedactionConfig) Validate() error {
	var errs []error
	for _, list := range []struct {
		key   string
		names []string
	}{{"secret_names", c.SecretNames}, {"safe_names", c.SafeNames}} {
		if len(list.names) > maxNames {
			errs = append(errs, fmt.Errorf("%s: lists %d names; write at most %d", list.key, len(list.names), maxNames))
		}
		for _, name := range list.names {
			if !redact.ValidName(name) {
				errs = append(errs, fmt.Errorf("%s: %q can never match; write a name of at most %d bytes with a letter or a digit in it",
					list.key, name, redact.MaxName))
			}
		}
	}
	for _, name := range c.SafeNames {
		if slices.ContainsFunc(c.SecretNames, func(other string) bool { return redact.SameName(name, other) }) {
			errs = append(errs, fmt.Errorf("safe_names: %q is in secret_names, too; write it in one of them", name))
		}
	}
	return inline(errs...)
}

// Validate reports everything that is wrong with the limits.
func (c *LimitsConfig) Validate() error {
	return inline(
		within("sockets", c.Sockets, minSockets, maxSockets),
		within("processes", c.Processes, minProcesses, maxProcesses),
		within("requests", c.Requests, 1, maxRequests),
		within("head_size", c.HeadSize, minHeadSize, maxHeadSize),
		within("memory", c.Memory, minMemory, maxMemory),
		within("attribute_length", c.AttributeLength, minAttribute, maxAttribute),
	)
}

// Validate says everything that is wrong with the bounds.
func (c *CompletionConfig) Validate() error {
	return inline(
		within("timeout", c.Timeout, time.Millisecond, time.Minute),
		within("lookup_after", c.LookupAfter, time.Millisecond, time.Hour),
		within("socket_events", c.SocketEvents, 1, maxSocketEvents),
		within("socket_bytes", c.SocketBytes, minWaitingBytes, maxSocketBytes),
		within("events", c.Events, 1, maxWaitingEvents),
		within("bytes", c.Bytes, minWaitingBytes, maxWaitingBytes),
		partOfAll("socket_events", c.SocketEvents, "events", c.Events),
		partOfAll("socket_bytes", c.SocketBytes, "bytes", c.Bytes),
	)
}

// Validate reports everything that is wrong with the batches.
func (c *BatchConfig) Validate() error {
	return inline(
		within("size", c.Size, 1, maxBatchSize),
		within("bytes", c.Bytes, minBatchBytes, maxBatchBytes),
		within("timeout", c.Timeout, minBatchTimeout, maxBatchTimeout),
	)
}

// inline joins errors on one line. The collector puts the key of their part before it.
func inline(errs ...error) error {
	var messages []string
	for _, err := range errs {
		if err != nil {
			messages = append(messages, err.Error())
		}
	}
	if messages == nil {
		return nil
	}
	return errors.New(strings.Join(messages, "; "))
}

func oneOf[T ~string](key string, value T, choices ...T) error {
	if slices.Contains(choices, value) {
		return nil
	}
	quoted := make([]string, len(choices))
	for i, choice := range choices {
		quoted[i] = fmt.Sprintf("%q", choice)
	}
	last := len(quoted) - 1
	return fmt.Errorf("%s: write %s or %s, not %q", key, strings.Join(quoted[:last], ", "), quoted[last], value)
}

// partOfAll refuses a bound that never bites, because another that bounds more is smaller.
func partOfAll[T int | ByteSize](key string, value T, wholeKey string, whole T) error {
	if value <= whole {
		return nil
	}
	return fmt.Errorf("%s: write at most what %s has, %v, not %v", key, wholeKey, whole, value)
}

func within[T int | time.Duration | ByteSize](key string, value, low, high T) error {
	if value >= low && value <= high {
		return nil
	}
	return fmt.Errorf("%s: write a value from %v to %v, not %v", key, low, high, value)
}
