package store

import (
	"math"
	"time"
)

// ClaimConfig bounds the claimer and the deleter. The zero value is not useful; start from DefaultClaimConfig.
type ClaimConfig struct {
	// Workers is the number of queues whose claims run at the same time, each on a connection of the pool.
	// 1 to 64, default 4.
	Workers int
	// Waiting is the number of claim requests that may wait, over all queues; more are refused with
	// ErrOverloaded. 1 to 10,000,000, default 20,000.
	Waiting int
	// Queues is the number of queues whose position is remembered. 1 to 10,000,000, default 50,000.
	Queues int
	// Idle is how long a queue without claims keeps its position. 1 s to 24 h, default 5 min.
	Idle time.Duration
	// Rows is the number of messages that one claim statement takes at most. 20 to 4,000, default 2,000.
	Rows int
	// Bytes is the size of the bodies that one claim statement takes at most, unless a single message is
	// larger. 1 KiB to 1 GiB, default 16 MiB.
	Bytes int
	// Slice is the smallest range of numbers that one statement searches; it grows over ranges that turn out
	// empty. 1 to 2,147,483,647, default 8,192.
	Slice int64
	// Rescan is how often an active queue is searched from its head, which finds what another gateway gave
	// back without telling. 0 to 1 h, default 1 s.
	Rescan time.Duration
	// Spacing is the longest pause between two searches from the head. It is otherwise 20 times as long as
	// the last one took. 0 turns pauses off. 0 to 1 h, default 1 s.
	Spacing time.Duration
	// Releases is the number of claims waiting to be given back because nobody took them; more are left to
	// their expiry. 1 to 10,000,000, default 10,000.
	Releases int
	// Deletes is the number of message ids that may wait for their deletion; more are refused with
	// ErrOverloaded. 1 to 10,000,000, default 100,000.
	Deletes int
	// DeleteRows is the number of ids that one delete statement takes at most. 1 to 100,000, default 2,000.
	DeleteRows int
	// DeleteRetries is how often ids that another transaction had locked are tried again before the delete
	// fails with ErrUnavailable. 0 to 1000, default 12: about a second.
	DeleteRetries int
	// Timeout is the longest that one statement may take on the gateway's side. 100 ms to 10 min, default 4 s.
	Timeout time.Duration
}

// DefaultClaimConfig returns the defaults that ClaimConfig documents.
func DefaultClaimConfig() ClaimConfig {
	return ClaimConfig{
		Workers: 4, Waiting: 20_000, Queues: 50_000, Idle: 5 * time.Minute,
		Rows: 2000, Bytes: 16 << 20, Slice: 8192,
		Rescan: time.Second, Spacing: time.Second, Releases: 10_000,
		Deletes: 100_000, DeleteRows: 2000, DeleteRetries: 12,
		Timeout: 4 * time.Second,
	}
}

func (c *ClaimConfig) ranges() []settingRange {
	n, d := countRange, durationRange
	const most = 10_000_000
	return []settingRange{
		n("Claims.Workers", c.Workers, 1, 64), n("Claims.Waiting", c.Waiting, 1, most), n("Claims.Queues", c.Queues, 1, most),
		d("Claims.Idle", c.Idle, time.Second, 24*time.Hour),
		n("Claims.Rows", c.Rows, 20, 4000), n("Claims.Bytes", c.Bytes, 1<<10, 1<<30),
		{"Claims.Slice", c.Slice, 1, math.MaxInt32, false},
		d("Claims.Rescan", c.Rescan, 0, time.Hour), d("Claims.Spacing", c.Spacing, 0, time.Hour),
		n("Claims.Releases", c.Releases, 1, most), n("Claims.Deletes", c.Deletes, 1, most),
		n("Claims.DeleteRows", c.DeleteRows, 1, 100_000), n("Claims.DeleteRetries", c.DeleteRetries, 0, 1000),
		d("Claims.Timeout", c.Timeout, 100*time.Millisecond, 10*time.Minute),
	}
}

// claimStride is how far ahead of the highest claimed number the bound claimed_upto is written, so that most
// claims need not write it.
const claimStride = 4096
