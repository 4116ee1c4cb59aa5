package store

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config holds the settings of a Store. Start from DefaultConfig; Open refuses values out of range.
type Config struct {
	// DatabaseURL is a PostgreSQL URL or keyword string, as libpq reads it. Required.
	DatabaseURL string
	// PoolID is the pool that the database is: 0, which is the default, is the default pool. It is no setting.
	PoolID int64
	// MaxConns bounds the pool of connections, 2 to 1000, default 8. The flusher has one more of its own.
	MaxConns int
	// ConnectTimeout bounds one attempt to connect, 100 ms to 1 min, default 2 s.
	ConnectTimeout time.Duration
	// StatementTimeout bounds one statement of the pool, 100 ms to 10 min, default 10 s.
	StatementTimeout time.Duration
	// LockTimeout bounds the wait for one lock, 10 ms to 1 min, default 2 s. The flusher has FlushLockTimeout.
	LockTimeout time.Duration
	// IdleInTransactionTimeout ends transactions of a stalled gateway, so that they cannot sit on locks or keep dead
	// rows from being reaped, 1 s to 10 min, default 10 s.
	IdleInTransactionTimeout time.Duration
	// TCPUserTimeout is after what time of unacknowledged data a TCP connection counts as lost, on both ends,
	// 1 s to 10 min, default 5 s. Keepalives follow it.
	TCPUserTimeout time.Duration

	// PostWaitRows and PostWaitBytes bound the messages and the bytes of their bodies that wait to be posted; a post
	// past them gets protocol.ErrOverloaded. 1000 to 10,000,000 rows, default 100,000; 1 MiB to 64 GiB, default 64 MiB.
	PostWaitRows  int
	PostWaitBytes int
	// PostWait is how long a post waits for its flush before it is withdrawn with protocol.ErrUnavailable, 10 ms to
	// 10 min, default 3 s. An earlier Deadline of the post wins.
	PostWait time.Duration
	// PostTimeout is after what time, counted from its arrival, every post is answered: the flush that holds it is given
	// up then. PostWait to 10 min, default 4.5 s.
	PostTimeout time.Duration
	// FlushRows and FlushBytes bound one flush. One post that is larger is flushed alone. 1 to 100,000 rows, default
	// 1000; 1 KiB to 256 MiB, default 4 MiB.
	FlushRows  int
	FlushBytes int
	// FlushSimpleQueues is up to how many queues a flush uses one statement per queue rather than one for all,
	// 0 to 1000, default 8.
	FlushSimpleQueues int
	// FlushLockTimeout is how long a flush waits for the counter of one queue before it goes on without that queue,
	// 10 ms to 1 min, default 300 ms.
	FlushLockTimeout time.Duration

	// QueueCacheSize bounds the queues whose id and metadata are remembered, 16 to 10,000,000, default 20,000.
	QueueCacheSize int
	// QueueCacheAge is for how long they are trusted, 0 to 10 min, default 5 s. A queue that was deleted meanwhile is
	// noticed by every write at once.
	QueueCacheAge time.Duration
	// ResolveConcurrency bounds the look-ups of queues for waiting posts, 1 to 1000, default 4.
	ResolveConcurrency int
	// DefaultMessageTTL is the TTL in seconds of messages that ask for the default of a queue that has none,
	// 1 to 2,147,483,647, default 3600.
	DefaultMessageTTL int32

	// PromotePoll is how often delayed messages of others are looked for, 10 ms to 1 min, default 1 s.
	PromotePoll time.Duration
	// PromoteRows and PromoteBytes bound one transaction of the promoter, 1 to 100,000, default 500; 1 KiB to 256 MiB,
	// default 4 MiB.
	PromoteRows  int
	PromoteBytes int

	// SweepInterval is how often the sweeper looks at the heads of all queues, 10 ms to 1 h, default 1 s.
	SweepInterval time.Duration
	// SweepFullInterval is how often it looks at all messages, for those that expire before the ones ahead of them,
	// 100 ms to 24 h, default 1 min.
	SweepFullInterval time.Duration
	// SweepShare is the share of its time that the sweeper may spend on each of the two, in percent, 1 to 100,
	// default 5: a look that took 1 s is followed by 19 s of rest.
	SweepShare int
	// SweepRows bounds one statement of the sweeper, 10 to 100,000, default 2000.
	SweepRows int
	// TombstoneHorizon is for how long subscribers may still read a consumed message of an observed queue,
	// 1 s to 24 h, default 60 s.
	TombstoneHorizon time.Duration

	// GatewayLease is after what time a silent gateway counts as dead, 3 s to 1 h, default 30 s. It is renewed at a
	// fifth of that.
	GatewayLease time.Duration
	// WorkLease is after what time other gateways take over work that one does for all, 1 s to 1 h, default 10 s.
	WorkLease time.Duration

	// StatsClaimedAge is how old the count of claimed messages in queue statistics may be, as far as other gateways
	// change it, 0 to 10 s, default 1 s. A count that was quick is not kept that long.
	StatsClaimedAge time.Duration
	// StatsWalkRows bounds the expired messages at a queue's head that statistics look at, 0 to 1,000,000, default
	// 20,000. Those beyond are counted until they are swept.
	StatsWalkRows int

	// Claims are the settings of claims, pops and deletes.
	Claims ClaimConfig
	// Deliveries are the settings of what could not be delivered to durable subscribers.
	Deliveries DeliveryConfig
	// ObserveFor is for how long an observation of a queue lasts without renewal, 3 s to 1 h, default 60 s.
	ObserveFor time.Duration
}

// DefaultConfig returns the settings that hold when nothing is set; DatabaseURL is still missing.
func DefaultConfig() Config {
	return Config{
		MaxConns: 8, ConnectTimeout: 2 * time.Second, StatementTimeout: 10 * time.Second, LockTimeout: 2 * time.Second,
		IdleInTransactionTimeout: 10 * time.Second, TCPUserTimeout: 5 * time.Second,

		PostWaitRows: 100_000, PostWaitBytes: 64 << 20, PostWait: 3 * time.Second, PostTimeout: 4500 * time.Millisecond,
		FlushRows: 1000, FlushBytes: 4 << 20, FlushSimpleQueues: 8, FlushLockTimeout: 300 * time.Millisecond,

		QueueCacheSize: 20_000, QueueCacheAge: 5 * time.Second, ResolveConcurrency: 4, DefaultMessageTTL: 3600,

		PromotePoll: time.Second, PromoteRows: 500, PromoteBytes: 4 << 20,

		SweepInterval: time.Second, SweepFullInterval: time.Minute, SweepShare: 5, SweepRows: 2000,
		TombstoneHorizon: time.Minute,

		GatewayLease: 30 * time.Second, WorkLease: 10 * time.Second,

		StatsClaimedAge: time.Second, StatsWalkRows: 20_000,

		Claims: DefaultClaimConfig(), Deliveries: DefaultDeliveryConfig(), ObserveFor: time.Minute,
	}
}

// Check says which settings are out of range; nil if all is well.
func (c *Config) Check() error {
	var faults []error
	if c.DatabaseURL == "" {
		faults = append(faults, errors.New("DatabaseURL is missing"))
	}
	for _, r := range c.ranges() {
		if r.value < r.min || r.value > r.max {
			faults = append(faults, fmt.Errorf("%s is %s, must be %s to %s", r.name, r.text(r.value), r.text(r.min), r.text(r.max)))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("store settings: %w", err)
	}
	return nil
}

// settingRange is a setting's value and the range in which it makes sense; durations are nanoseconds.
type settingRange struct {
	name            string
	value, min, max int64
	duration        bool
}

func (r settingRange) text(v int64) string {
	if r.duration {
		return time.Duration(v).String()
	}
	return fmt.Sprint(v)
}

func countRange(name string, value, low, high int) settingRange {
	return settingRange{name, int64(value), int64(low), int64(high), false}
}

func durationRange(name string, value, low, high time.Duration) settingRange {
	return settingRange{name, int64(value), int64(low), int64(high), true}
}

func (c *Config) ranges() []settingRange {
	n, d := countRange, durationRange
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	return append([]settingRange{
		n("MaxConns", c.MaxConns, 2, 1000), d("ConnectTimeout", c.ConnectTimeout, 100*ms, m),
		d("StatementTimeout", c.StatementTimeout, 100*ms, 10*m), d("LockTimeout", c.LockTimeout, 10*ms, m),
		d("IdleInTransactionTimeout", c.IdleInTransactionTimeout, s, 10*m), d("TCPUserTimeout", c.TCPUserTimeout, s, 10*m),
		n("PostWaitRows", c.PostWaitRows, 1000, 10_000_000), n("PostWaitBytes", c.PostWaitBytes, 1<<20, 64<<30),
		d("PostWait", c.PostWait, 10*ms, 10*m), d("PostTimeout", c.PostTimeout, c.PostWait, 10*m),
		n("FlushRows", c.FlushRows, 1, 100_000), n("FlushBytes", c.FlushBytes, 1<<10, 256<<20),
		n("FlushSimpleQueues", c.FlushSimpleQueues, 0, 1000), d("FlushLockTimeout", c.FlushLockTimeout, 10*ms, m),
		n("QueueCacheSize", c.QueueCacheSize, 16, 10_000_000), d("QueueCacheAge", c.QueueCacheAge, 0, 10*m),
		n("ResolveConcurrency", c.ResolveConcurrency, 1, 1000),
		n("DefaultMessageTTL", int(c.DefaultMessageTTL), 1, 1<<31-1),
		d("PromotePoll", c.PromotePoll, 10*ms, m), n("PromoteRows", c.PromoteRows, 1, 100_000),
		n("PromoteBytes", c.PromoteBytes, 1<<10, 256<<20),
		d("SweepInterval", c.SweepInterval, 10*ms, h), d("SweepFullInterval", c.SweepFullInterval, 100*ms, 24*h),
		n("SweepShare", c.SweepShare, 1, 100), n("SweepRows", c.SweepRows, 10, 100_000),
		d("TombstoneHorizon", c.TombstoneHorizon, s, 24*h),
		d("GatewayLease", c.GatewayLease, 3*s, h), d("WorkLease", c.WorkLease, s, h),
		d("StatsClaimedAge", c.StatsClaimedAge, 0, 10*s), n("StatsWalkRows", c.StatsWalkRows, 0, 1_000_000),
		d("ObserveFor", c.ObserveFor, 3*s, h),
	}, slices.Concat(c.Claims.ranges(), c.Deliveries.ranges())...)
}
