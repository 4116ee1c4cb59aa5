package config

import (
	"math"
	"time"

	"github.com/nusku-messaging/nusku/store"
)

// The units of the ranges below.
const (
	ms   = time.Millisecond
	sec  = time.Second
	mins = time.Minute
	hour = time.Hour
)

func connectionTable(c *store.Config) []setting {
	return inGroup("Database connections",
		number("db-max-conns", &c.MaxConns, 2, 1000, "N", "Connections to the database, besides one for posts and two for other gateways."),
		duration("db-connect-timeout", &c.ConnectTimeout, 100*ms, mins, "How long an attempt to connect may take."),
		duration("db-statement-timeout", &c.StatementTimeout, 100*ms, 10*mins, "How long a statement may take."),
		duration("db-lock-timeout", &c.LockTimeout, 10*ms, mins, "How long a statement may wait for a lock."),
		duration("db-idle-in-transaction-timeout", &c.IdleInTransactionTimeout, sec, 10*mins, "After what time the transaction of a stalled gateway is ended."),
		duration("db-tcp-user-timeout", &c.TCPUserTimeout, sec, 10*mins, "After what time without acknowledgement a connection counts as lost."),
	)
}

func postTable(c *store.Config) []setting {
	return inGroup("Posts",
		number("post-wait-rows", &c.PostWaitRows, 1000, 10_000_000, "N", "Messages that may wait to be stored; further posts are answered 503."),
		size("post-wait-bytes", &c.PostWaitBytes, 1<<20, 64<<30, "Bytes of bodies that may wait so."),
		duration("post-wait", &c.PostWait, 10*ms, 10*mins, "How long a post may wait before it is withdrawn and answered 503."),
		duration("post-timeout", &c.PostTimeout, 10*ms, 10*mins, "After what time every post is answered; at least post-wait."),
		number("flush-rows", &c.FlushRows, 1, 100_000, "N", "Messages of one transaction."),
		size("flush-bytes", &c.FlushBytes, 1<<10, 1<<30, "Bytes of bodies of one transaction."),
		number("flush-simple-queues", &c.FlushSimpleQueues, 0, 1000, "N", "Up to how many queues a transaction has a statement for each."),
		duration("flush-lock-timeout", &c.FlushLockTimeout, 10*ms, mins, "How long a transaction waits for one queue before it goes on without it."),
		number("promote-rows", &c.PromoteRows, 1, 100_000, "N", "Delayed messages that become due in one transaction."),
		size("promote-bytes", &c.PromoteBytes, 1<<10, 1<<30, "Bytes of their bodies."),
		duration("promote-poll", &c.PromotePoll, 10*ms, mins, "How often delayed messages of other gateways are looked for."),
	)
}

func claimTable(c *store.ClaimConfig) []setting {
	return inGroup("Claims and deletes",
		number("claim-workers", &c.Workers, 1, 64, "N", "Queues that are claimed from at the same time, each on a connection."),
		number("claim-waiting", &c.Waiting, 1, 10_000_000, "N", "Claims that may wait; further ones are answered 503."),
		number("claim-queues", &c.Queues, 1, 10_000_000, "N", "Queues whose position is remembered."),
		duration("claim-idle", &c.Idle, sec, 24*hour, "How long the position of a queue without claims is remembered."),
		number("claim-rows", &c.Rows, 20, 4000, "N", "Messages that a statement claims."),
		size("claim-bytes", &c.Bytes, 1<<10, 1<<30, "Bytes of bodies that a statement claims."),
		number("claim-slice", &c.Slice, 1, math.MaxInt32, "N", "Smallest range of numbers that a statement searches."),
		duration("claim-rescan", &c.Rescan, 10*ms, hour, "How often an active queue is searched from its head."),
		duration("claim-spacing", &c.Spacing, 0, hour, "Longest pause between two such searches."),
		number("claim-releases", &c.Releases, 1, 10_000_000, "N", "Claims of sessions that are gone that may wait to be given back; further ones expire."),
		number("delete-waiting", &c.Deletes, 1, 10_000_000, "N", "Message ids that may wait for their deletion; further ones are answered 503."),
		number("delete-rows", &c.DeleteRows, 1, 100_000, "N", "Message ids that a statement deletes."),
		number("delete-retries", &c.DeleteRetries, 0, 1000, "N", "How often ids that others have locked are tried again."),
		duration("claim-timeout", &c.Timeout, 100*ms, 10*mins, "How long a statement of claims or deletes may take."),
	)
}

func upkeepTable(c *store.Config) []setting {
	return inGroup("Upkeep",
		number("queue-cache", &c.QueueCacheSize, 16, 10_000_000, "N", "Queues whose number and metadata are remembered."),
		duration("queue-cache-age", &c.QueueCacheAge, 0, 10*mins, "For how long they are."),
		number("resolve-concurrency", &c.ResolveConcurrency, 1, 1000, "N", "Look-ups of queues at a time for waiting posts."),
		duration("sweep-interval", &c.SweepInterval, 10*ms, hour, "How often expired messages are looked for at the heads of queues."),
		duration("sweep-full-interval", &c.SweepFullInterval, 100*ms, 24*hour, "How often they are looked for everywhere."),
		number("sweep-share", &c.SweepShare, 1, 100, "PERCENT", "Share of its time that may go into each of these."),
		number("sweep-rows", &c.SweepRows, 10, 100_000, "N", "Messages that a statement sweeps."),
		duration("tombstone-horizon", &c.TombstoneHorizon, sec, 24*hour, "For how long subscribers may still read a consumed message."),
		duration("observe-for", &c.ObserveFor, 3*sec, hour, "For how long a note that a queue has subscribers holds."),
		duration("gateway-lease", &c.GatewayLease, 3*sec, hour, "After what time a silent gateway counts as dead."),
		duration("work-lease", &c.WorkLease, sec, hour, "After what time another gateway takes over work that one does for all."),
		duration("stats-claimed-age", &c.StatsClaimedAge, 0, 10*sec, "How old the count of claimed messages in statistics may be."),
		number("stats-walk-rows", &c.StatsWalkRows, 0, 1_000_000, "N", "Expired messages that statistics subtract before they are swept."),
	)
}
