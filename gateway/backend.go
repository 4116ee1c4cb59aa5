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
	PoolBackend
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
	// UpdateQueue replaces a queue's metadata by what update makes of them, and returns the queue as it is then. No other
	// change comes between. An error of update is returned as it is and changes nothing; protocol.ErrNoQueue for a missing
	// queue; protocol.ErrNoFlavor, with its name as the detail, and ErrFlavorElsewhere, ErrDeadLetterPool: the queue stays
	// where it is. update may be called more than once.
	UpdateQueue(ctx context.Context, key protocol.QueueKey, update func(metadata []byte) ([]byte, error)) (*protocol.Queue, error)
	// Queues lists a project's queues in the order of their names.
	Queues(ctx context.Context, page protocol.QueuePage) ([]protocol.Queue, error)
	// CountQueues counts the queues that page's filters keep, whatever its marker and limit.
	CountQueues(ctx context.Context, page protocol.QueuePage) (int64, error)
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
	// MessageNumber returns the number in its queue of the message that has an id of the inbox, for as long as the message
	// would live also after it is gone; protocol.ErrNoMessage if that is not known, or if there is none yet.
	MessageNumber(ctx context.Context, key protocol.QueueKey, id protocol.MessageID) (int64, error)
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
	// subscriber has a subscription to the queue already; sub's ID and Confirmed are then that one's. With confirm, the
	// subscriber is to be asked for confirmation before anything is delivered, and is asked again if it exists
	// unconfirmed.
	CreateSubscription(ctx context.Context, sub *protocol.Subscription, confirm bool) error
	// UpdateSubscription returns protocol.ErrNoSubscription, or protocol.ErrSubscriptionExists when another subscription
	// to the queue has that subscriber.
	UpdateSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID, change protocol.SubscriptionChange) error
	// ConfirmSubscription notes that the subscriber wants the messages, or not. It returns protocol.ErrNoSubscription.
	ConfirmSubscription(ctx context.Context, key protocol.QueueKey, id uuid.UUID, confirmed bool) error
	// SubscriptionSecrets returns the secrets that sign a webhook's requests, the newest first. With rotate, a new one is
	// made first; the one before it stays valid for a day. It returns protocol.ErrNoSubscription.
	SubscriptionSecrets(ctx context.Context, key protocol.QueueKey, id uuid.UUID, rotate bool) ([][]byte, error)
	// DeadDeliveries lists what could not be delivered, oldest first, those after the id marker.
	DeadDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, marker int64, limit int) ([]protocol.DeadDelivery, error)
	// ResendDeliveries has dead deliveries sent again, and DeleteDeliveries forgets them: those of ids, or all if ids is
	// nil. They return how many that were, and protocol.ErrNoSubscription.
	ResendDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, ids []int64) (int64, error)
	DeleteDeliveries(ctx context.Context, key protocol.QueueKey, id uuid.UUID, ids []int64) (int64, error)
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

// PoolBackend keeps the catalogue of pools and flavors.
type PoolBackend interface {
	// CreatePool makes a pool, or replaces one of that name. Its database is connected to and brought up to date first.
	// Errors: protocol.ErrPoolUnreachable, ErrPoolUnfit, ErrPoolExists, ErrNoFlavor; ErrPoolInUse when queues are in the pool
	// and the URI leads to another database; ErrFlavorInUse when the pool is the last one of a flavor in use, and leaves it.
	CreatePool(ctx context.Context, pool protocol.Pool) error
	// Pool returns protocol.ErrNoPool for a missing one. The default pool is there.
	Pool(ctx context.Context, name string) (*protocol.Pool, error)
	// Pools lists the pools by name, those after marker. The default pool is not among them.
	Pools(ctx context.Context, marker string, limit int) ([]protocol.Pool, error)
	// UpdatePool returns the pool as it is then. Errors: protocol.ErrNoPool and those of CreatePool.
	UpdatePool(ctx context.Context, name string, change protocol.PoolChange) (*protocol.Pool, error)
	// DeletePool deletes a pool, not its database. A missing one is no error; protocol.ErrPoolInUse.
	DeletePool(ctx context.Context, name string) error

	// CreateFlavor makes a flavor, or replaces one of that name. It returns protocol.ErrNoPool when it names a pool that
	// does not exist, with its name as the detail, and ErrFlavorInUse, with the flavor as the detail, when it takes its last
	// pool from a flavor in use.
	CreateFlavor(ctx context.Context, flavor protocol.Flavor) error
	// Flavor returns protocol.ErrNoFlavor for a missing one.
	Flavor(ctx context.Context, name string) (*protocol.Flavor, error)
	// Flavors lists the flavors by name, those after marker.
	Flavors(ctx context.Context, marker string, limit int) ([]protocol.Flavor, error)
	// UpdateFlavor returns the flavor as it is then. Errors: protocol.ErrNoFlavor and those of CreateFlavor.
	UpdateFlavor(ctx context.Context, name string, change protocol.FlavorChange) (*protocol.Flavor, error)
	// DeleteFlavor takes its pools out of the flavor and deletes it. A missing one is no error; protocol.ErrFlavorInUse.
	DeleteFlavor(ctx context.Context, name string) error

	// Health tries real operations on every pool. It has no error: what does not work is in the answer.
	Health(ctx context.Context) protocol.Health
}
