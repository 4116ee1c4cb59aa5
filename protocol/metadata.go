package protocol

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// QueueSettings are the reserved attributes of a queue's metadata that the gateway acts on. Zero values are not set.
type QueueSettings struct {
	// DefaultTTL and DeadLetterTTL are seconds; 0 is not set.
	DefaultTTL    int32
	DeadLetterTTL int32
	// DefaultDelay is seconds.
	DefaultDelay int32
	// MaxPostBytes bounds a post to this queue; 0 is not set.
	MaxPostBytes int
	// MaxClaimCount is how many claims a message may see before it is a dead letter; 0 is not set.
	MaxClaimCount int32
	// DeadLetterQueue is the name of the queue for dead letters; "" is not set.
	DeadLetterQueue string
}

// CheckMetadata reads a queue's metadata, a JSON object, and refuses what is too large or out of range. Attributes that
// are null are not set; those that nobody reserved are the client's own.
func CheckMetadata(metadata []byte, lim *Limits) (QueueSettings, *Error) {
	if len(metadata) > lim.MaxMetadataBytes {
		return QueueSettings{}, errMetadataSize(lim.MaxMetadataBytes)
	}
	r, err := reservedAttributes(metadata)
	if err != nil {
		return QueueSettings{}, errMetadataType.WithCause(err)
	}
	s := QueueSettings{
		DefaultTTL: seconds(r.integer("_default_message_ttl", int64(lim.MinMessageTTL), int64(lim.MaxMessageTTL),
			"_default_message_ttl can not exceed {max} seconds, and must be at least {min} seconds long.")),
		// Two spaces, as on Zaqar.
		MaxPostBytes: int(r.integer("_max_messages_post_size", 1, int64(lim.MaxPostBytes),
			"_max_messages_post_size can not exceed {max},  and must be at least greater than 0.")),
		MaxClaimCount: seconds(r.integer("_max_claim_count", 0, math.MaxInt32,
			"_max_claim_count can not exceed {max}, and must be at least {min}.")),
		DeadLetterTTL: seconds(r.integer("_dead_letter_queue_messages_ttl", int64(lim.MinMessageTTL), int64(lim.MaxMessageTTL),
			"The TTL for a message may not exceed {max} seconds, and must be at least {min} seconds long.")),
		DefaultDelay: seconds(r.integer("_default_message_delay", 0, int64(lim.MaxMessageDelay),
			"The TTL can not exceed {max} seconds, and must be at least {min} seconds long.")),
		DeadLetterQueue: r.queueName("_dead_letter_queue", lim),
	}
	r.boolean("_enable_encrypt_messages")
	r.flavorName()
	r.retryPolicy()
	if r.fault != nil {
		return QueueSettings{}, r.fault
	}
	return s, nil
}

// checkOptions checks what is reserved in a subscription's options. anyStart says that it may begin elsewhere than with
// what is posted from now on; that is refused to others, who must not believe to get what was posted before.
func checkOptions(options []byte, anyStart bool) *Error {
	r, err := reservedAttributes(options)
	if err != nil {
		return errSchema.WithCause(err)
	}
	r.retryPolicy()
	r.start(anyStart)
	return r.fault
}

// Where a subscription may begin besides behind a message, whose id then says so.
const (
	FromNow       = "now"
	FromBeginning = "beginning"
)

// The answers to an option "from" that does not do.
const (
	textSubscriptionFrom = `The "from" option of a subscription must be "now", "beginning" or the id of a message.`
	textFromNow          = `The "from" option of a subscription must be "now", but for a socket's when it is made: ` +
		`messages that were posted before are not pushed.`
)

// start checks where a subscription begins.
func (r *attributes) start(anyStart bool) {
	value := r.value("from")
	if value == nil {
		return
	}
	var from string
	if json.Unmarshal(value, &from) != nil {
		r.fail(textSubscriptionFrom)
		return
	}
	_, err := ParseMessageID(from)
	switch {
	case from == FromNow:
	case from != FromBeginning && err != nil:
		r.fail(textSubscriptionFrom)
	case !anyStart:
		r.fail(textFromNow)
	}
}

// SubscriptionStart returns where a subscription with these options, which have passed the checks, begins: FromNow,
// FromBeginning, or a message's id.
func SubscriptionStart(options []byte) string {
	var from struct {
		From *string `json:"from"`
	}
	if len(options) == 0 || json.Unmarshal(options, &from) != nil || from.From == nil {
		return FromNow
	}
	return *from.From
}

// attributes reads reserved attributes and keeps the first fault.
type attributes struct {
	values map[string]json.RawMessage
	fault  *Error
}

func reservedAttributes(object []byte) (*attributes, error) {
	r := &attributes{}
	err := json.Unmarshal(object, &r.values)
	return r, err
}

func (r *attributes) fail(exception string) {
	if r.fault == nil {
		r.fault = actionError(400, "metadata", "", exception)
	}
}

// value returns the attribute, nil if it is absent or null.
func (r *attributes) value(name string) json.RawMessage {
	if v := r.values[name]; string(v) != "null" {
		return v
	}
	return nil
}

// integer reads a number from least to most; 0 if there is none. In text, {max} and {min} stand for them.
func (r *attributes) integer(name string, least, most int64, text string) int64 {
	value := r.value(name)
	if value == nil {
		return 0
	}
	s := scanner{data: value, maxDepth: maxTranscodeDepth}
	if s.kind() == kindNumber {
		if v, ok := s.integer(); ok {
			if v < least || v > most {
				r.fail(rangeText(text, least, most))
				return 0
			}
			return v
		}
	}
	r.fail(name + " must be integer.")
	return 0
}

func (r *attributes) boolean(name string) {
	if v := string(r.value(name)); v != "" && v != "true" && v != "false" {
		r.fail(name + " must be boolean.")
	}
}

func (r *attributes) queueName(name string, lim *Limits) string {
	value := r.value(name)
	if value == nil {
		return ""
	}
	var queue string
	if json.Unmarshal(value, &queue) != nil {
		r.fail(name + " must be string.")
		return ""
	}
	if len(queue) > lim.MaxQueueNameLength || !ValidQueueName(queue) {
		r.fail(name + " must be the name of a queue.")
		return ""
	}
	return queue
}

// flavorName checks the flavor that a new queue asks for.
func (r *attributes) flavorName() {
	value := r.value("_flavor")
	if value == nil {
		return
	}
	var flavor string
	switch {
	case json.Unmarshal(value, &flavor) != nil:
		r.fail("_flavor must be string.")
	case flavor != "" && checkAdminName("Flavor", flavor) != nil:
		r.fail("_flavor must be the name of a flavor.")
	}
}

// rangeText puts the numbers into the text of an error.
func rangeText(text string, least, most int64) string {
	return strings.NewReplacer("{min}", strconv.FormatInt(least, 10), "{max}", strconv.FormatInt(most, 10)).Replace(text)
}
