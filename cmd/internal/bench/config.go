package bench

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config says what to load and how. Fields that a mode does not use are ignored.
type Config struct {
	// URL is the gateway's, ws:// only.
	URL string
	// Project is the X-Project-ID of all requests. Default "bench".
	Project string
	// GatewayPID is the gateway's process on this machine; 0 if it is not known. With it, Result has its CPU time and
	// memory.
	GatewayPID int
	// Zaqar sends frames without id and with headers, so that replies are in order and echo their requests. Default:
	// frames with an id, compact replies.
	Zaqar bool
	// Connections is the number of sessions that send requests, 1 to 20,000.
	Connections int
	// Depth is how many requests a session has under way at once, 1 to 1000.
	Depth int
	// PerPost is the number of messages of one post, 1 to 500.
	PerPost int
	// Queues is over how many queues the sessions are spread, 1 to 10,000.
	Queues int
	// BodyBytes is the size of a message's body, 32 to 65,536.
	BodyBytes int
	// Warmup runs before Duration and is checked but not measured.
	Warmup, Duration time.Duration

	// Messages is the backlog that claim posts first, 1 to 50,000,000.
	Messages int
	// Limit is the number of messages of one claim, 1 to 20. With 1, messages are deleted by message_delete.
	Limit int
	// InFlight messages are claimed before the measurement and stay claimed, 0 to 1,000,000.
	InFlight int

	// Subscribers is the number of sessions that are pushed to, 1 to 20,000.
	Subscribers int
	// Rate is posts per second of the latency mode, 1 to 10,000.
	Rate int
	// Settle is how long an idle gateway gets to give memory back before it is measured.
	Settle time.Duration

	// Progress is told how far the run is, 0 to 1, about 20 times a second and never concurrently.
	Progress func(done float64)
}

// Default returns the configuration that the flags' defaults stand for.
func Default() Config {
	return Config{
		Project: "bench", Connections: 64, Depth: 1, PerPost: 1, Queues: 1, BodyBytes: 256,
		Warmup: time.Second, Duration: 5 * time.Second, Messages: 200_000, Limit: 20, Subscribers: 1000, Rate: 200,
		Settle: 5 * time.Second,
	}
}

// check completes c and says what is wrong with it.
func (c *Config) check() error {
	if c.Progress == nil {
		c.Progress = func(float64) {}
	}
	for _, r := range []struct {
		name            string
		value, min, max int
	}{
		{"connections", c.Connections, 1, 20_000},
		{"depth", c.Depth, 1, 1000},
		{"messages per post", c.PerPost, 1, 500},
		{"queues", c.Queues, 1, 10_000},
		{"body bytes", c.BodyBytes, 32, 65_536},
		{"messages", c.Messages, 1, 50_000_000},
		{"limit", c.Limit, 1, 20},
		{"messages in flight", c.InFlight, 0, 1_000_000},
		{"subscribers", c.Subscribers, 1, 20_000},
		{"rate", c.Rate, 1, 10_000},
	} {
		if r.value < r.min || r.value > r.max {
			return fmt.Errorf("%s is %d, must be %d to %d", r.name, r.value, r.min, r.max)
		}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if u.Scheme != "ws" || u.Host == "" {
		return errors.New("url must be ws://host:port (the load generator does not speak TLS)")
	}
	return nil
}
