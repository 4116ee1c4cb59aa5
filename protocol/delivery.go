package protocol

import (
	"time"

	"github.com/google/uuid"
)

// Lease names a durable subscription that this gateway delivers for, and the fencing token under which it does.
type Lease struct {
	ID    uuid.UUID
	Token int64
}

// Durable is a webhook or mail subscription that this gateway delivers for, until its lease ends.
type Durable struct {
	Lease
	Subscription Subscription
	// Policy is the _retry_policy of the queue's metadata, nil if there is none. The subscription's options may hold one
	// of their own.
	Policy []byte
	// Version grows when somebody changes the subscription (its URI, options, secrets, resends): who holds the lease then
	// reads it anew.
	Version int64
	// QueueID is the queue that Cursor counts in; 0 when the queue did not exist yet.
	QueueID int64
	// Cursor: everything up to this number was delivered or buried.
	Cursor int64
	// Attempts are those that failed for what comes after Cursor.
	Attempts int
	// Wait is how long to wait before the next attempt, counted from when the Durable was read.
	Wait time.Duration
	// Confirm says that the subscriber has yet to be asked for confirmation; nothing is delivered before it has confirmed.
	Confirm bool
	// Secrets sign the webhook's requests, the newest first.
	Secrets [][]byte
	// Resends says that there are dead deliveries to send again.
	Resends bool
}

// Progress is how far the deliveries of a durable subscription have come.
type Progress struct {
	QueueID, Cursor int64
	Attempts        int
	Wait            time.Duration
}

// DeadDelivery is a message that could not be delivered to a subscriber.
type DeadDelivery struct {
	// ID is 0 in one that is yet to be stored.
	ID int64
	// MessageID is the message's id in its queue.
	MessageID MessageID
	Body      []byte
	Codec     Codec
	// TTL is the message's, in seconds.
	TTL int32
	// Attempts were made in vain; Reason is how the last one failed.
	Attempts int
	Reason   string
	// Failed is when it was given up.
	Failed time.Time
	// Resend says that it is to be sent again.
	Resend bool
}

// DurableState is what a renewal says of a subscription: its Version.
type DurableState struct {
	ID      uuid.UUID
	Version int64
}
