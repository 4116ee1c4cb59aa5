package gateway

import (
	"context"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// Backend is what the gateway needs of a store. Its methods may be called concurrently. They return the
// errors of protocol (protocol.ErrNoQueue, …), wrapped, and stop early when their context ends.
//
// Queue keys may be kept for ever. All other strings and bytes that go in point into a frame: they are valid until the
// method returns or, for an operation with a Waiter, until it is told Done.
type Backend interface {
	QueueBackend
	MessageBackend
	ClaimBackend
	SubscriptionBackend
	FeedBackend
	// Ping says whether the database answers.
	Ping(ctx context.Context) error
}

// QueueBackend keeps queues.
type QueueBackend interface {
	// CreateQueue makes a queue unless it exists, which is no error: created is then false and the metadata
	// stays as it was.
	CreateQueue(ctx context.Context, key protocol.QueueKey, metadata []byte) (created bool, err error)
	// Queue returns protocol.ErrNoQueue for a missing queue.
	Queue(ctx context.Context, key protocol.QueueKey) (*protocol.Queue, error)
	// DeleteQueue deletes a queue with its messages and claims. It returns protocol.ErrNoQueue for a missing one.
	DeleteQueue(ctx context.Context, key protocol.QueueKey) error
	// Queues lists a project's queues in the order of their names, those after marker.
	Queues(ctx context.Context, project, marker string, limit int) ([]protocol.Queue, error)
	// CountQueues counts a project's queues.
	CountQueues(ctx context.Context, project string) (int64, error)
	// PurgeQueue drops what a queue holds at this moment. It returns protocol.ErrNoQueue for a missing one.
	PurgeQueue(ctx context.Context, key protocol.QueueKey, messages, subscriptions bool) error
	// QueueStats returns protocol.ErrNoQueue for a missing queue.
	QueueStats(ctx context.Context, key protocol.QueueKey) (protocol.QueueStats, error)
}

// MessageBackend keeps messages. Post and Delete never block: the operation's Waiter is told of the end,
// exactly once, whatever happens.
type MessageBackend interface {
	Post(p *protocol.Post)
	Delete(d *protocol.DeleteOp)
	// Messages lists a page of a queue's messages; a missing queue has none.
	Messages(ctx context.Context, key protocol.QueueKey, page protocol.MessagePage) ([]protocol.Message, error)
	// Message returns protocol.ErrNoQueue or protocol.ErrNoMessage when there is no such message.
	Message(ctx context.Context, key protocol.QueueKey, id string) (*protocol.Message, error)
	// MessagesByID returns the messages that exist, in the order of ids.
	MessagesByID(ctx context.Context, key protocol.QueueKey, ids []string) ([]protocol.Message, error)
	// PopMessages deletes up to limit messages from the head and returns them.
	PopMessages(ctx context.Context, key protocol.QueueKey, limit int) ([]protocol.Message, error)
}

// ClaimBackend keeps claims. Claim never blocks: the operation's Waiter is told of the end, exactly once,
// whatever happens.
type ClaimBackend interface {
	Claim(c *protocol.ClaimOp)
	// ClaimByID returns protocol.ErrNoClaim unless the claim is live.
	ClaimByID(ctx context.Context, key protocol.QueueKey, claimID string) (*protocol.Claim, error)
	// RenewClaim returns protocol.ErrNoClaim unless the claim is live.
	RenewClaim(ctx context.Context, key protocol.QueueKey, claimID string, ttl, grace int32) error
	// ReleaseClaim ends a claim. One that does not exist is no error.
	ReleaseClaim(ctx context.Context, key protocol.QueueKey, claimID string) error
}

// SubscriptionBackend keeps subscriptions.
type SubscriptionBackend interface {
	// CreateSubscription makes the queue if it is missing. It returns protocol.ErrSubscriptionExists when that
	// subscriber has a subscription to the queue already.
	CreateSubscription(ctx context.Context, sub *protocol.Subscription) error
	// Subscriptions lists a queue's subscriptions in the order in which they were made, those after marker.
	Subscriptions(ctx context.Context, key protocol.QueueKey, marker string, limit int) ([]protocol.Subscription, error)
	// Subscription returns protocol.ErrNoSubscription when there is none.
	Subscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) (*protocol.Subscription, error)
	// DeleteSubscription deletes a subscription. A missing one is no error.
	DeleteSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID) error
	// EndSocketSubscriptions deletes subscriptions of sessions that are gone.
	EndSocketSubscriptions(ctx context.Context, ids []uuid.UUID) error
	// KnownSubscriptions returns those of ids that were neither deleted nor purged.
	KnownSubscriptions(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)
}

// FeedBackend is what the feeds of subscribers read.
type FeedBackend interface {
	// Head makes the queue if it is missing, notes that it is observed, and then reads its head.
	Head(ctx context.Context, key protocol.QueueKey) (protocol.Head, error)
	// Feed reads what lies behind cursor in one snapshot, up to about so many rows and bytes. It returns
	// protocol.ErrNoQueue when the queue with that id is gone.
	Feed(ctx context.Context, key protocol.QueueKey, queueID, cursor int64, limitRows, limitBytes int) (protocol.FeedPage, error)
	// Heads returns the number of the newest message of each queue. An id that is missing from the answer is
	// a queue that is gone.
	Heads(ctx context.Context, queueIDs []int64) (map[int64]int64, error)
	// Observe renews, for a minute, the note that these queues are observed.
	Observe(ctx context.Context, queueIDs []int64) error
}
