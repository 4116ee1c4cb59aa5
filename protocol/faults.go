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
