package protocol

import "github.com/google/uuid"

// FieldSet is a set of body fields.
type FieldSet uint32

// The typed fields of all actions' bodies.
const (
	FieldQueueName FieldSet = 1 << iota
	FieldMetadata
	FieldDetailed
	FieldWithCount
	FieldEcho
	FieldIncludeClaimed
	FieldIncludeDelayed
	FieldLimit
	FieldMarker
	FieldMessages
	FieldMessageID
	FieldMessageIDs
	FieldPop
	FieldClaimID
	FieldClaimIDs
	FieldTTL
	FieldGrace
	FieldSubscriptionID
	FieldSubscriber
	FieldOptions
	FieldResourceTypes
)

// Has says whether all of f are in the set.
func (s FieldSet) Has(f FieldSet) bool { return s&f == f }

// Fields are the typed fields of a body: the union over all actions. Fields that the frame's action does not read stay
// zero. Strings and slices are valid as long as the Request that holds them.
type Fields struct {
	// Set says which fields the frame carried.
	Set FieldSet

	QueueName string
	// Metadata is a JSON object, in the client's spelling if the frame was JSON; nil when absent or null.
	Metadata []byte

	Detailed, WithCount, Echo      bool
	IncludeClaimed, IncludeDelayed bool

	// Limit is in its range: the action's default when absent, 0 for actions without a limit.
	Limit int
	// Marker is "" when absent.
	Marker string

	// Messages are what message_post posts, in order. Bodies are exactly the client's bytes.
	Messages   []NewMessage
	MessageID  string
	MessageIDs []string
	// Pop is 0 when absent.
	Pop      int
	ClaimID  string
	ClaimIDs []string

	// TTL and Grace are seconds, in their ranges: the action's defaults when absent.
	TTL, Grace int32

	SubscriptionID string
	// Subscriber is the subscriber's URI; "" asks for pushes to this socket.
	Subscriber string
	// Options is a JSON object, as Metadata is.
	Options       []byte
	ResourceTypes []string
}

// Purges says which kinds of resources queue_purge takes: both unless resource_types says otherwise. Unknown types are
// ignored, as on Zaqar.
func (f *Fields) Purges() (messages, subscriptions bool) {
	if !f.Set.Has(FieldResourceTypes) {
		return true, true
	}
	for _, t := range f.ResourceTypes {
		switch t {
		case "messages":
			messages = true
		case "subscriptions":
			subscriptions = true
		}
	}
	return messages, subscriptions
}

// Request is a decoded frame. Its strings and slices point into the frame or into memory that the request owns; both
// are reused by the next Decode into the same Request. It must not be used concurrently. The zero value is ready.
type Request struct {
	// Action is nil when the frame names no known action.
	Action *Action
	// ActionName is the action as sent; "" when absent or not a string.
	ActionName string
	// ID is the raw "id" in Codec's encoding, nil if the frame carried none. With an id the reply is compact.
	ID    []byte
	Codec Codec

	// ClientID and ProjectID are what the headers say, else the session's defaults.
	ClientID  string
	ProjectID string
	AuthToken string
	// ClientUUID is ClientID as a UUID; the zero UUID when it is none.
	ClientUUID uuid.UUID

	Fields Fields

	// RawAction, RawBody and RawHeaders are the frame's ranges that replies echo; nil when absent.
	RawAction, RawBody, RawHeaders []byte

	// messagesSize is the encoded size of the "messages" field in bytes.
	messagesSize int
	// ttl and grace are the fields' values before they were narrowed.
	ttl, grace int64
	// scratch holds resolved escapes and transcoded objects.
	scratch []byte
}

// reset makes the request ready for the next frame and keeps its memory.
func (r *Request) reset(codec Codec) {
	messages, ids, claims, types := r.Fields.Messages, r.Fields.MessageIDs, r.Fields.ClaimIDs, r.Fields.ResourceTypes
	// Views into the last frame would keep it alive.
	clear(messages)
	clear(ids)
	clear(claims)
	clear(types)
	*r = Request{Codec: codec, scratch: r.scratch[:0]}
	r.Fields.Messages, r.Fields.MessageIDs = messages[:0], ids[:0]
	r.Fields.ClaimIDs, r.Fields.ResourceTypes = claims[:0], types[:0]
}

// Queue names the queue that the request is about.
func (r *Request) Queue() QueueKey {
	return QueueKey{Project: r.ProjectID, Name: r.Fields.QueueName}
}

// Class says how the request may overlap with others of its session: its action's class, but for a pop, which takes
// whatever is at the queue's head and so must see every earlier delete and post done.
func (r *Request) Class() Class {
	if r.Action == nil {
		return ClassSession
	}
	if r.Action.Class == ClassDelete && r.Fields.Set.Has(FieldPop) {
		return ClassExclusive
	}
	return r.Action.Class
}

// PostTooLarge says whether message_post carries more than a post may hold: the encoded size of its "messages" field
// is what counts. It is not part of Decode because such a post still creates its queue.
func (r *Request) PostTooLarge(lim *Limits) *Error {
	if r.messagesSize <= lim.MaxPostBytes {
		return nil
	}
	return errPostTooLarge(lim.MaxPostBytes)
}

// PostTooLargeFor does the same for a queue that sets _max_messages_post_size to queueMax bytes.
func (r *Request) PostTooLargeFor(queueMax int, lim *Limits) *Error {
	if r.messagesSize <= min(queueMax, lim.MaxPostBytes) {
		return nil
	}
	return ErrorPostTooLargeForQueue(queueMax, lim.MaxPostBytes)
}

// MessagesSize is the encoded size of the "messages" field in bytes, by which posts are limited.
func (r *Request) MessagesSize() int { return r.messagesSize }
