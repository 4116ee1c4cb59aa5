package config

import (
	"time"

	"github.com/nusku-messaging/nusku/gateway"
)

func waitTable(c *gateway.WaitConfig) []setting {
	return inGroup("Waiting for messages",
		number("wait-calls", &c.MaxCalls, 1, 10_000_000, "N", "Claims and lists that may wait for a message at a time; further ones are answered 503."),
		number("wait-per-project", &c.PerProject, 1, 10_000_000, "N", "The same, of one project; further ones are answered 429."),
		number("wait-per-session", &c.PerSession, 1, 1_000_000, "N", "The same, of one session; they count as outstanding, too."),
		number("wait-per-address", &c.PerAddress, 1, 1_000_000, "N", "The same, requests of one address (of IPv6: one /64 network)."),
		duration("wait-scout-interval", &c.ScoutInterval, 10*time.Millisecond, time.Hour, "How often one that waits looks although nothing was told: claims that run out are found so."),
		number("wait-scout-rate", &c.ScoutRate, 1, 1_000_000, "N", "Such looks per second, over all queues."),
	)
}

func streamTable(c *gateway.StreamConfig) []setting {
	return inGroup("Event streams",
		number("max-streams", &c.MaxStreams, 1, 10_000_000, "N", "Event streams that may be open at a time; further ones are answered 503."),
		number("max-streams-per-address", &c.MaxStreamsPerAddress, 1, 1_000_000, "N", "The same, to one address (of IPv6: one /64 network); further ones are answered 429."),
		duration("stream-heartbeat", &c.Heartbeat, 10*time.Millisecond, time.Hour, "After how long without an event a stream gets a comment."),
		duration("stream-retry", &c.Retry, 0, time.Hour, "How long clients of streams are told to wait before they come back."),
	)
}
