package config

import (
	"math"
	"time"

	"github.com/nusku-messaging/nusku/gateway"
)

func sessionTable(c *gateway.Config) []setting {
	return inGroup("Sessions",
		list("allowed-origins", &c.AllowedOrigins, "LIST", "Hosts of pages that may connect besides the gateway's own, separated by commas: app.example.com, *.example.com, https://example.com."),
		number("max-sessions", &c.MaxSessions, 1, 10_000_000, "N", "Sessions that may be open at a time; further ones are answered 503."),
		number("max-outstanding", &c.MaxOutstanding, 1, 1_000_000, "N", "Frames of a session that may wait for their replies; past it the session is not read."),
		size("max-outstanding-bytes", &c.MaxOutstandingBytes, 1<<10, 1<<40, "Bytes that those frames may hold; one frame always goes."),
		size("max-reply-bytes", &c.MaxReplyBytes, 1<<10, 1<<40, "Replies that may wait for a session's socket; past it the session is not read."),
		number("max-fetches", &c.MaxFetches, 1, 1_000_000, "N", "Claims and reads among a session's outstanding frames."),
		size("memory-budget", &c.MemoryBudget, 2<<10, 1<<50, "Frames and replies of all sessions together; past it sessions are not read. At least twice max-frame."),
		size("session-allowance", &c.SessionAllowance, 4<<10, 1<<40, "What a session may hold also while the memory budget is used up; less while there are many sessions."),
		size("min-frame-rate", &c.MinFrameRate, 1, 1<<40, "Bytes of a large frame that have to come in each second while others wait for the memory of such frames."),
		number("max-blocking", &c.Blocking, 1, 100_000, "N", "Rare actions that may wait for the database at a time, in all."),
		number("max-blocking-per-session", &c.BlockingPerSession, 1, 100_000, "N", "The same, of one session."),
		duration("request-timeout", &c.RequestTimeout, 100*time.Millisecond, time.Hour, "How long after its arrival such an action may take before it is answered 503."),
		duration("operation-timeout", &c.Handlers.OperationTimeout, 100*time.Millisecond, time.Hour, "How long after its arrival a post, claim or delete may wait to be taken up before it is answered 503."),
		size("read-buffer", &c.ReadBuffer, 128, 64<<10, "Memory that each session keeps for reading."),
		size("write-buffer", &c.WriteBuffer, 160, 4<<10, "Memory that each session keeps for control frames."),
		toggle("checksum", &c.Handlers.Checksum, "Add a checksum of its body to each message of pops and statistics."),
		size("max-header", &c.MaxHeaderBytes, 1<<10, 1<<20, "Largest header of an HTTP request."),
	)
}

func timeoutTable(c *gateway.Config) []setting {
	const shortest = 10 * time.Millisecond
	return inGroup("Times of sessions",
		duration("ping-interval", &c.PingInterval, shortest, time.Hour, "How long a session may be silent before it is pinged."),
		duration("pong-timeout", &c.PongTimeout, shortest, time.Hour, "How long a pinged session may stay silent before it is closed."),
		duration("frame-timeout", &c.FrameTimeout, shortest, time.Hour, "How long a frame may take from its first byte to its last."),
		duration("write-timeout", &c.WriteTimeout, shortest, time.Hour, "How long a socket may take nothing while frames wait for it."),
		duration("pressure-timeout", &c.PressureTimeout, shortest, time.Hour, "How long a session above its allowance may leave its replies untaken while others wait for memory."),
		duration("close-timeout", &c.CloseTimeout, shortest, time.Hour, "How long a closing session waits for its last bytes and the other side's close frame."),
		duration("header-timeout", &c.HeaderTimeout, 100*time.Millisecond, time.Hour, "How long the header of an HTTP request may take."),
		duration("http-timeout", &c.HTTPTimeout, time.Second, time.Hour, "How long the rest of an HTTP request and its answer may take, and a connection stay open between requests."),
		duration("ready-interval", &c.ReadyInterval, shortest, time.Hour, "How long the database's answer to a ping is good for /readyz."),
		duration("ready-timeout", &c.ReadyTimeout, shortest, time.Hour, "How long that ping may take."),
	)
}

func pushTable(c *gateway.PushConfig) []setting {
	return inGroup("Push",
		size("push-ring", &c.RingBytes, 4<<10, 1<<40, "Frames that a queue keeps in memory for subscribers that are a little behind."),
		size("push-ring-total", &c.TotalRingBytes, 4<<10, 1<<50, "The same, of all queues; at least push-ring."),
		duration("push-ring-age", &c.RingAge, 100*time.Millisecond, time.Hour, "How long a frame is kept so at most."),
		size("push-chunk", &c.ChunkBytes, 1<<10, 1<<30, "About how much a subscriber takes at once."),
		number("push-page-rows", &c.PageRows, 1, 1_000_000, "N", "Messages read at once from the database for subscribers that have fallen behind."),
		size("push-page-bytes", &c.PageBytes, 4<<10, 1<<30, "Bytes of bodies read so at once."),
		size("push-page-total", &c.TotalPageBytes, 4<<10, 1<<50, "Such pages that wait for their subscribers; at least push-page-bytes."),
		number("push-readers", &c.Readers, 1, 1000, "N", "Such reads at a time."),
		number("push-workers", &c.Workers, 1, 10_000, "N", "Goroutines that wake subscribers."),
		duration("push-poll-interval", &c.PollInterval, 10*time.Millisecond, time.Hour, "How often queues with subscribers are compared with the database, in case that a wake was lost."),
		duration("push-observe-interval", &c.ObserveInterval, time.Second, 30*time.Second, "How often it is noted that a queue has subscribers; below observe-for."),
		duration("push-query-timeout", &c.QueryTimeout, 100*time.Millisecond, time.Hour, "How long a read for subscribers may take."),
		number("max-session-subscriptions", &c.SessionSubscriptions, 1, math.MaxInt32, "N", "Subscriptions of one session."),
	)
}
