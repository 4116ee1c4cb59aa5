package gateway

import (
	"errors"
	"time"
)

// StreamConfig holds the settings of event streams. How long a client may take nothing is Config.WriteTimeout.
type StreamConfig struct {
	// MaxStreams is how many streams may be open at a time, further ones are answered 503, and MaxStreamsPerAddress how
	// many of them to one address (of IPv6: one /64 network), further ones are answered 429. 1 or more; defaults 10,000
	// and 256.
	MaxStreams, MaxStreamsPerAddress int
	// Heartbeat is after how long without an event a comment is sent, so that whatever lies between does not take the
	// connection for dead. 10 ms or more; default 15 s.
	Heartbeat time.Duration
	// Retry is how long clients are told to wait before they come back. 0 to 1 h; default 2 s.
	Retry time.Duration
}

// DefaultStreamConfig returns the defaults.
func DefaultStreamConfig() StreamConfig {
	return StreamConfig{MaxStreams: 10_000, MaxStreamsPerAddress: 256, Heartbeat: 15 * time.Second, Retry: 2 * time.Second}
}

// Check returns an error that names every setting that is out of its range; nil if all is well.
func (c StreamConfig) Check() error {
	var faults []error
	for _, rule := range []configRule{
		{c.MaxStreams >= 1, "MaxStreams must be at least 1"},
		{c.MaxStreamsPerAddress >= 1, "MaxStreamsPerAddress must be at least 1"},
		{c.Heartbeat >= 10*time.Millisecond, "Heartbeat must be at least 10 ms"},
		{c.Retry >= 0 && c.Retry <= time.Hour, "Retry must be 0 to 1 h"},
	} {
		if !rule.ok {
			faults = append(faults, errors.New("streams: "+rule.text))
		}
	}
	return errors.Join(faults...)
}
