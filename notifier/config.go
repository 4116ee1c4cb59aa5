package notifier

import (
	"errors"
	"time"
)

// Config is how a Notifier works. DefaultConfig has the defaults; ListenURL has none.
type Config struct {
	// ListenURL is the database, as a PostgreSQL URL. It must be a direct connection: LISTEN does not work
	// through a pooler in transaction mode.
	ListenURL string
	// Channel is the NOTIFY channel, 1 to 63 bytes; the same for all gateways of a database. Default "nusku".
	Channel string
	// MaxPending bounds the hints that wait to be sent, 1 to 1,000,000. Past it, one hint that everything may
	// have changed takes their place. Default 10,000 (about 1 MB).
	MaxPending int
	// Timeout bounds connecting, each send and each check of the listener's connection, 100 ms to 1 min.
	// Default 5 s.
	Timeout time.Duration
	// CheckInterval is how long the listener's connection may be silent before it is checked, 100 ms to 10 min.
	// Default 10 s.
	CheckInterval time.Duration
	// HelloInterval is how often a gateway makes itself known to the others, 100 ms to 1 min. One that was
	// silent for three intervals is forgotten. The same for all gateways of a database. Default 5 s.
	HelloInterval time.Duration
	// ReconnectMin and ReconnectMax bound the growing time between attempts to connect, 10 ms to 1 min.
	// Default 50 ms and 5 s.
	ReconnectMin, ReconnectMax time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Channel:       "nusku",
		MaxPending:    10_000,
		Timeout:       5 * time.Second,
		CheckInterval: 10 * time.Second,
		HelloInterval: 5 * time.Second,
		ReconnectMin:  50 * time.Millisecond,
		ReconnectMax:  5 * time.Second,
	}
}

// Check says what is wrong with the configuration, if anything.
func (c *Config) Check() error {
	switch {
	case c.ListenURL == "":
		return errors.New("notifier: no database URL")
	case c.Channel == "" || len(c.Channel) > 63:
		return errors.New("notifier: Channel must have 1 to 63 bytes")
	case c.MaxPending < 1:
		return errors.New("notifier: the number of pending hints must be at least 1")
	case c.Timeout <= 0 || c.CheckInterval <= 0 || c.HelloInterval <= 0:
		return errors.New("notifier: times must be positive")
	case c.ReconnectMin <= 0 || c.ReconnectMax < c.ReconnectMin:
		return errors.New("notifier: the time between attempts to connect must be positive, its minimum below its maximum")
	}
	return nil
}
