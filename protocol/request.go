package protocol

import (
	"strings"

	"github.com/google/uuid"
)

// FieldSet is a set of body fields.
type FieldSet uint64

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
	FieldTopicName
	FieldName
	FieldFilter
	FieldPatch
	FieldWait
	FieldPaths
	FieldMethods
	FieldExpires
	FieldConfirmed
	FieldRotate
	FieldDeliveryIDs
	FieldPoolName
	FieldURI
	FieldWeight
	FieldFlavor
	FieldFlavorName
	FieldPoolList
	FieldCapabilities
)

// Has says whether all of f are in the set.
func (s FieldSet) Has(f FieldSet) bool { return s&f == f }

// Fields are the typed fields of a body: the union over all actions. Fields that the frame's action does not read stay
// zero. Strings and slices are valid as long as the Request that holds them.
type Fields struct {
	// Set says which fields the frame carried.
	Set FieldSet

	// QueueName and TopicName: an action that is about a queue or a topic has exactly one of them. Request.Queue says
	// which.
	QueueName string
	TopicName string
	// Metadata is a JSON object, in the client's spelling if the frame was JSON; nil when absent or null.
	Metadata []byte

	// Patch is a JSON patch, an array, as Metadata is: see ApplyPatch.
	Patch []byte
	// Name and MetadataFilter keep the queues of a list whose names contain Name and that have these attributes; "" and
	// nil keep all. See QueuePage.
	Name           string
	MetadataFilter map[string]string

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

	// TTL and Grace are seconds, in their ranges: the action's defaults when absent, but for subscription_update, which
	// leaves an absent ttl at 0.
	TTL, Grace int32
	// Wait is how long to wait for something to answer with, in seconds; 0 is not at all.
	Wait int32

	SubscriptionID string
	// Subscriber is the subscriber's URI; "" asks for pushes to this socket.
	Subscriber string
	// Options is a JSON object, as Metadata is.
	Options       []byte
	ResourceTypes []string
	// Confirmed says whether the subscriber wants what is posted, Rotate whether to make a new secret.
	Confirmed, Rotate bool
	// DeliveryIDs are nil when absent, which is all of them; an empty list is not nil.
	DeliveryIDs []int64
	// DeliveryMarker is the Marker of dead_delivery_list; 0 when absent.
	DeliveryMarker int64

	// Paths, Methods and Expires are what a signed URL is to be good for: parts of a queue, HTTP methods, and a time. They
	// are empty when absent.
	Paths, Methods []string
	Expires        string

	PoolName, URI string
	// Weight is in its range.
	Weight     int64
	Flavor     string
	FlavorName string
	PoolList   []string
	// Capabilities is a JSON object, as Metadata is.
	Capabilities []byte
}

// named is Set with FieldQueueName where a topic is named in place of a queue.
func (f *Fields) named() FieldSet {
	if f.Set&FieldTopicName != 0 {
		return f.Set | FieldQueueName
	}
	return f.Set
}

// Purges says which kinds of resources queue_purge takes: both unless resource_types says otherwise. Unknown types are
// ignored, as on Zaqar's socket.
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

// Signature is a signed URL as its headers say it: URL-Signature, URL-Expires, URL-Methods and URL-Paths. The lists are
// joined by commas.
type Signature struct {
	Signature, Expires, Methods, Paths string
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
	// Roles are what the sender claims to be, separated by commas. They count while authentication is off.
	Roles string
	// Signature is what a signed URL consists of; without one, all of it is "".
	Signature Signature
	// ClientUUID is ClientID as a UUID; the zero UUID when it is none.
	ClientUUID uuid.UUID

	Fields Fields

	// RawAction, RawBody and RawHeaders are the frame's ranges that replies echo; nil when absent.
	RawAction, RawBody, RawHeaders []byte

	// topicKey is TopicName with its prefix.
	topicKey string
	// rest says that the request came by REST.
	rest bool
	// messagesSize is the encoded size of the "messages" field in bytes; of a body by REST, that of the whole.
	messagesSize int
	// ttl and grace are the fields' values before they were narrowed.
	ttl, grace int64
	// scratch holds resolved escapes and transcoded objects.
	scratch []byte
}

// reset makes the request ready for the next frame and keeps the memory that hot actions use.
func (r *Request) reset(codec Codec) {
	messages, ids, claims := r.Fields.Messages, r.Fields.MessageIDs, r.Fields.ClaimIDs
	// Views into the last frame would keep it alive.
	clear(messages)
	clear(ids)
	clear(claims)
	*r = Request{Codec: codec, scratch: r.scratch[:0]}
	r.Fields.Messages, r.Fields.MessageIDs, r.Fields.ClaimIDs = messages[:0], ids[:0], claims[:0]
}

// Queue names the queue or the topic that the request is about.
func (r *Request) Queue() QueueKey {
	if r.Fields.Set&FieldTopicName != 0 {
		return QueueKey{Project: r.ProjectID, Name: r.topicKey}
	}
	return QueueKey{Project: r.ProjectID, Name: r.Fields.QueueName}
}

// IsAdmin says whether the sender claims the admin role, which counts only while authentication is off.
func (r *Request) IsAdmin() bool {
	for role := range strings.SplitSeq(r.Roles, ",") {
		if strings.TrimSpace(role) == "admin" {
			return true
		}
	}
	return false
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
// is what counts, by REST that of the whole body. It is not part of Decode because such a post still creates its queue.
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

// MessagesSize is the size in bytes by which posts are limited.
func (r *Request) MessagesSize() int { return r.messagesSize }
