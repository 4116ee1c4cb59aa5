package protocol

import "errors"

// What can go wrong below the wire. The store returns these, wrapped; the gateway turns them into wire
// errors in one place.
var (
	// ErrNoQueue: the queue does not exist.
	ErrNoQueue = errors.New("queue does not exist")
	// ErrNoMessage: the message does not exist in that queue.
	ErrNoMessage = errors.New("message does not exist")
	// ErrNoClaim: the claim does not exist, has expired, was released, or the id is forged.
	ErrNoClaim = errors.New("claim does not exist")
	// ErrClaimed: the message is held by a claim, and none was given.
	ErrClaimed = errors.New("message is claimed")
	// ErrNotClaimedBy: the message is held by another claim than the one given.
	ErrNotClaimedBy = errors.New("message is claimed by another claim")
	// ErrNotClaimed: a claim was given, but nothing holds the message.
	ErrNotClaimed = errors.New("message is not claimed")
	// ErrNoSubscription: the subscription does not exist.
	ErrNoSubscription = errors.New("subscription does not exist")
	// ErrSubscriptionExists: that subscriber has a subscription to that queue already.
	ErrSubscriptionExists = errors.New("subscription exists")
	// ErrTooManyConfirmations: the address, or the project, has had as many requests for confirmation as it may have in an
	// hour; nothing was changed. Its detail says which of them.
	ErrTooManyConfirmations = errors.New("too many requests for confirmation")
	// ErrNoPool: the pool does not exist.
	ErrNoPool = errors.New("pool does not exist")
	// ErrPoolExists: another pool has that URI, or that database is a pool already, here or of another installation.
	ErrPoolExists = errors.New("pool exists")
	// ErrPoolUnreachable: the pool's database cannot be connected to, or its URI cannot be read.
	ErrPoolUnreachable = errors.New("cannot connect to the pool")
	// ErrPoolUnfit: the pool's database can be connected to, and cannot be a pool. The error's detail says why.
	ErrPoolUnfit = errors.New("the database cannot be a pool")
	// ErrPoolInUse: queues are placed in the pool, or a flavor names it.
	ErrPoolInUse = errors.New("pool is in use")
	// ErrNoFlavor: the flavor does not exist.
	ErrNoFlavor = errors.New("flavor does not exist")
	// ErrFlavorInUse: queues ask for the flavor, so that it can neither be deleted nor, when it is the error's detail, lose its
	// last pool.
	ErrFlavorInUse = errors.New("flavor is in use")
	// ErrFlavorElsewhere: a queue was to get a flavor in whose pools it is not.
	ErrFlavorElsewhere = errors.New("queue is in no pool of the flavor")
	// ErrNoRoom: no pool takes the queue: its flavor has none with a weight above 0, or no pool has.
	ErrNoRoom = errors.New("no pool takes the queue")
	// ErrDeadLetterPool: a queue and its dead-letter queue would be in different pools.
	ErrDeadLetterPool = errors.New("the dead-letter queue is in another pool")
	// ErrLeaseLost: another gateway has taken over what the lease was for.
	ErrLeaseLost = errors.New("lease lost")
	// ErrPostTooLarge: the post is larger than the queue's _max_messages_post_size.
	ErrPostTooLarge = errors.New("post is too large for the queue")
	// ErrUnavailable: the database does not answer; nothing was changed. Try again later.
	ErrUnavailable = errors.New("database unavailable")
	// ErrOutcomeUnknown: the connection was lost around the commit; the change may or may not have happened.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrOverloaded: a bound was reached (waiting rows or bytes); nothing was changed. Try again later.
	ErrOverloaded = errors.New("overloaded")
	// ErrStopping: the gateway shuts down; nothing was changed.
	ErrStopping = errors.New("gateway is stopping")
)
