package protocol

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// Codec says how a frame or a stored message body is encoded. The values are stored in the database.
type Codec uint8

const (
	// JSON is UTF-8 JSON text (RFC 8259): WebSocket text frames.
	JSON Codec = 0
	// MessagePack is the MessagePack format: WebSocket binary frames.
	MessagePack Codec = 1
)

// QueueKey names a queue: names are unique within a project.
type QueueKey struct {
	Project string
	Name    string
}

// TopicPrefix begins the stored name of a topic. A topic is a queue in a name space of its own, which no queue's name
// can reach: names do not hold a colon.
const TopicPrefix = "topic:"

// ShownName is the name as clients know it: a topic's comes without the prefix.
func (k QueueKey) ShownName() string { return strings.TrimPrefix(k.Name, TopicPrefix) }

// IsTopic says whether the key names a topic.
func (k QueueKey) IsTopic() bool { return strings.HasPrefix(k.Name, TopicPrefix) }

// Queue is a queue as clients see it.
type Queue struct {
	QueueKey
	// ID is unique over all pools and never used again.
	ID int64
	// Metadata is a JSON object, as the client sent it; "{}" when there is none.
	Metadata []byte
}

// NewMessage is a message to be posted.
type NewMessage struct {
	// Body is the message body in Codec, exactly the client's bytes. The poster may reuse the memory only
	// after the post's Waiter was told Done.
	Body  []byte
	Codec Codec
	// TTL and Delay are seconds; -1 asks for the queue's default.
	TTL   int32
	Delay int32
}

// Message is a stored message.
type Message struct {
	ID MessageID
	// Seq is the message's number in its queue; 0 while it waits in the inbox.
	Seq   int64
	Body  []byte
	Codec Codec
	// TTL and Age are seconds.
	TTL     int32
	Age     int32
	Created time.Time
	// ClaimID is the live claim that holds the message, "" if none.
	ClaimID string
	// ClaimCount says how many claims of the message ended without its deletion.
	ClaimCount int32
	// ClientID is who posted it; the zero UUID if unknown.
	ClientID uuid.UUID
	// Origin is a JSON object that says where a dead letter came from; nil for other messages.
	Origin []byte
}

// Waiter is told of the end of an operation that the store runs in the background.
type Waiter interface {
	// Done is called exactly once, after the operation's results and its Err were set, from a goroutine of
	// the store. It must not block.
	Done()
	// Flush is called after Done, once all operations of the same batch are done, so that one write to a
	// socket can carry all of a batch's replies. It must not block.
	Flush()
}

// Post asks for messages to be stored. Err == nil means committed.
type Post struct {
	Queue    QueueKey
	ClientID uuid.UUID
	Messages []NewMessage
	// Deadline withdraws the post if no flush has taken it by then.
	Deadline time.Time
	Waiter   Waiter

	// IDs are the ids of the messages, in order, valid if Err is nil.
	IDs []MessageID
	Err error
}

// ClaimOp asks for a claim on up to Limit messages. No message and no error means that there was nothing to claim.
type ClaimOp struct {
	Queue QueueKey
	Limit int
	// TTL and Grace are seconds.
	TTL   int32
	Grace int32
	// Abandoned, if it is set, reports that nobody waits for the claim any more: it is then released at once.
	Abandoned func() bool
	Deadline  time.Time
	Waiter    Waiter

	ClaimID  string
	Messages []Message
	// QueueID is the queue's id; 0 if there is no queue of that name, or if it is not known.
	QueueID int64
	Err     error
}

// DeleteOp asks for messages to be deleted by id. Unknown ids are ignored.
type DeleteOp struct {
	Queue QueueKey
	IDs   []MessageID
	// Fenced makes the rules of message_delete hold for every id: a claimed message needs its claim's id,
	// and a claim id needs a message that it holds. Otherwise claims are ignored.
	Fenced bool
	// ClaimIDs are the claims that the caller holds: one for message_delete, any number for message_delete_many.
	ClaimIDs []string
	Deadline time.Time
	Waiter   Waiter

	Err error
}

// Claim is a live claim.
type Claim struct {
	ID string
	// TTL and Age are seconds.
	TTL      int32
	Age      int32
	Messages []Message
}

// MessagePage asks for a page of a queue's messages.
type MessagePage struct {
	// Marker is the id after which the page starts; "" is the head. One that is unknown lists nothing.
	Marker string
	Limit  int
	// Echo includes the messages that ClientID posted.
	Echo           bool
	ClientID       uuid.UUID
	IncludeClaimed bool
	IncludeDelayed bool
}

// QueuePage asks for a page of a project's queues, in the order of their names.
type QueuePage struct {
	Project string
	// Topics asks for topics instead of queues; Marker and the names in the answer have the prefix then.
	Topics bool
	// Marker is the name after which the page starts; "" is the beginning.
	Marker string
	Limit  int
	// Name keeps the queues whose name contains it; "" keeps all.
	Name string
	// Metadata keeps the queues that have all these attributes with these values, as JSON would print them without
	// quotes; nil keeps all.
	Metadata map[string]string
}

// QueueStats counts a queue's live messages. Total = Claimed + Free + Delayed.
type QueueStats struct {
	Claimed, Free, Delayed, Total int64
	// Oldest and Newest are nil when the queue is empty.
	Oldest, Newest *Message
}

// Subscription is a stored subscription.
type Subscription struct {
	ID         uuid.UUID
	Queue      QueueKey
	Subscriber string
	// TTL and Age are seconds.
	TTL int32
	Age int32
	// Options is a JSON object.
	Options   []byte
	Confirmed bool
	// Socket marks a subscription that pushes to a WebSocket session of this gateway and ends with it.
	Socket bool
}

// SubscriptionChange is what subscription_update changes; nil leaves a field as it is.
type SubscriptionChange struct {
	Subscriber *string
	// TTL is seconds, from now on.
	TTL *int32
	// Options is a JSON object.
	Options []byte
}

// Head is a queue's state as the feed of its subscribers needs it.
type Head struct {
	QueueID int64
	// Last is the number of the newest committed message, 0 if there was none ever.
	Last int64
}

// FeedPage is what lies behind a feed's cursor, read in one snapshot.
type FeedPage struct {
	Head Head
	// Messages follow the cursor in order, tombstones included.
	Messages []Message
	// Upto is the number up to which this page is complete: every number in (cursor, Upto] that is not among
	// Messages is gone.
	Upto int64
	// Gaps tell why numbers in (cursor, Upto] are gone, in order, without overlap.
	Gaps []Gap
}

// Gap is a range of numbers, both inclusive, that a subscriber will never get.
type Gap struct {
	From, To int64
	Reason   GapReason
}

// GapReason says why messages are missing.
type GapReason string

// The reasons of a gap.
const (
	GapExpired  GapReason = "expired"  // past their TTL
	GapPurged   GapReason = "purged"   // by queue_purge
	GapConsumed GapReason = "consumed" // deleted by a consumer longer ago than the horizon
	GapDeleted  GapReason = "deleted"  // the queue was deleted
	GapFailover GapReason = "failover" // lost with a database server
	// The subscription is over: its time to live is up, or somebody else has deleted it. Nothing comes after it.
	GapSubscriptionExpired GapReason = "subscription_expired"
	GapSubscriptionEnded   GapReason = "subscription_ended"
)

// Final says that the gap ends its subscription.
func (r GapReason) Final() bool { return r == GapSubscriptionExpired || r == GapSubscriptionEnded }

// Committed is a flush's part in one queue: messages with the contiguous numbers First, First+1, …
type Committed struct {
	Queue   QueueKey
	QueueID int64
	First   int64
	// Messages are valid only during the call.
	Messages []NewMessage
	IDs      []MessageID
	// Origins are, for dead letters, each message's Message.Origin; nil for other messages.
	Origins [][]byte
}
