package pools

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the settings of a Router. Start from DefaultConfig; Open refuses values out of range.
type Config struct {
	// DefaultWeight is the default pool's share of the new queues that ask for no flavor, relative to the other pools'
	// weights. 0 to 4,294,967,295; 0 gives it none. Default 100.
	DefaultWeight int64
	// Poll is how often the list of pools is read, in case that a hint was lost, 100 ms to 10 min, default 3 s. What was
	// left half done is finished at the same pace.
	Poll time.Duration
	// ConnectTimeout bounds connecting to a pool that is being made, and each try to open one, 100 ms to 10 min,
	// default 10 s. Bringing its schema up to date counts.
	ConnectTimeout time.Duration
	// OpenWait is how long a start, and an operation on a pool that was just made, wait for a pool to be opened, 0 to
	// 1 min, default 2 s.
	OpenWait time.Duration
	// RetryMin and RetryMax bound the growing time between tries to open a pool, 10 ms to 10 min, default 200 ms and 5 s.
	RetryMin, RetryMax time.Duration
	// Ping is how often an open pool is asked whether it still answers, 100 ms to 1 min, default 1 s. New queues go to
	// those that do.
	Ping time.Duration
	// MaxConns bounds the connections to each other pool, 2 to 1000, default 8. Each has three more of its own.
	MaxConns int
	// Routes bounds the queues outside of the default pool whose place is remembered, 16 to 10,000,000, default 100,000.
	Routes int
	// HealthTimeout bounds a check of all pools, 100 ms to 1 min, default 5 s.
	HealthTimeout time.Duration
	// VolumeTimeout bounds counting the messages of a pool for it, 10 ms to 1 min, default 1 s.
	VolumeTimeout time.Duration
}

// DefaultConfig returns the settings that hold when nothing is set.
func DefaultConfig() Config {
	return Config{
		DefaultWeight: 100, Poll: 3 * time.Second, ConnectTimeout: 10 * time.Second, OpenWait: 2 * time.Second,
		RetryMin: 200 * time.Millisecond, RetryMax: 5 * time.Second, Ping: time.Second, MaxConns: 8, Routes: 100_000,
		HealthTimeout: 5 * time.Second, VolumeTimeout: time.Second,
	}
}

// Check says which settings are out of range; nil if all is well.
func (c *Config) Check() error {
	const ms, s, m = time.Millisecond, time.Second, time.Minute
	var faults []error
	number := func(name string, value, low, high int64) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s is %d, must be %d to %d", name, value, low, high))
		}
	}
	span := func(name string, value, low, high time.Duration) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s is %s, must be %s to %s", name, value, low, high))
		}
	}
	number("DefaultWeight", c.DefaultWeight, 0, 1<<32-1)
	number("MaxConns", int64(c.MaxConns), 2, 1000)
	number("Routes", int64(c.Routes), 16, 10_000_000)
	span("Poll", c.Poll, 100*ms, 10*m)
	span("ConnectTimeout", c.ConnectTimeout, 100*ms, 10*m)
	span("OpenWait", c.OpenWait, 0, m)
	span("RetryMin", c.RetryMin, 10*ms, 10*m)
	span("RetryMax", c.RetryMax, c.RetryMin, 10*m)
	span("Ping", c.Ping, 100*ms, m)
	span("HealthTimeout", c.HealthTimeout, 100*ms, m)
	span("VolumeTimeout", c.VolumeTimeout, 10*ms, m)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("pool settings: %w", err)
	}
	return nil
}
