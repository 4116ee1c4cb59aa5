package store

import "time"

// ClaimConfig bounds the claimer and the deleter. The zero value is not useful; start from DefaultClaimConfig.
type ClaimConfig struct {
	// Workers is the number of queues whose claims run at the same time, each on a connection of the pool.
	// 1 to 64, default 4.
	Workers int
	// Waiting is the number of claim requests that may wait, over all queues; more are refused with
	// ErrOverloaded. 1 or more, default 20,000.
	Waiting int
	// Queues is the number of queues whose position is remembered. 1 or more, default 50,000.
	Queues int
	// Idle is how long a queue without claims keeps its position. Default 5 min.
	Idle time.Duration
	// Rows is the number of messages that one claim statement takes at most. 20 to 4,000, default 2,000.
	Rows int
	// Bytes is the size of the bodies that one claim statement takes at most, unless a single message is
	// larger. Default 16 MiB.
	Bytes int
	// Slice is the smallest range of numbers that one statement searches; it grows over ranges that turn out
	// empty. Default 8,192.
	Slice int64
	// Rescan is how often an active queue is searched from its head, which finds what another gateway gave
	// back without telling. Default 1 s.
	Rescan time.Duration
	// Spacing is the longest pause between two searches from the head. It is otherwise 20 times as long as
	// the last one took. 0 turns pauses off. Default 1 s.
	Spacing time.Duration
	// Releases is the number of claims waiting to be given back because nobody took them; more are left to
	// their expiry. Default 10,000.
	Releases int
	// Deletes is the number of message ids that may wait for their deletion; more are refused with
	// ErrOverloaded. 1 or more, default 100,000.
	Deletes int
	// DeleteRows is the number of ids that one delete statement takes at most. Default 2,000.
	DeleteRows int
	// DeleteRetries is how often ids that another transaction had locked are tried again before the delete
	// fails with ErrUnavailable. Default 12: about a second.
	DeleteRetries int
	// Timeout is the longest that one statement may take on the gateway's side. Default 4 s.
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

// claimStride is how far ahead of the highest claimed number the bound claimed_upto is written, so that most
// claims need not write it.
const claimStride = 4096
