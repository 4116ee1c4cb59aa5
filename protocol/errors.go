package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrorKind says which shape an error has on the wire.
type ErrorKind uint8

const (
	// KindProtocol is a fault of the frame itself or of its sender's standing: {"error": text}. A frame's protocol
	// faults are answered before its sender is authenticated.
	KindProtocol ErrorKind = iota
	// KindAction is a fault of what an action asks for: {"exception": text, "error": text or null}. It is told only to
	// a sender who may send the action.
	KindAction
)

// Outcomes of a write that failed.
const (
	// OutcomeNothing: nothing was changed.
	OutcomeNothing = "nothing"
	// OutcomeUnknown: the change may or may not have happened.
	OutcomeUnknown = "unknown"
)

// Error is what a client is told when its frame is refused or its action fails. All of it but Code and Cause is shown.
// An Error is immutable once made.
type Error struct {
	// Status is the reply's status: 4xx or 5xx.
	Status int
	Kind   ErrorKind
	// Exception is the technical text of KindAction.
	Exception string
	// Text is the text for people; "" is sent as null.
	Text string
	// Code is a word for logs and metrics; it is not sent.
	Code string
	// Cause is for the log alone; nil if there is nothing more to say.
	Cause error
	// RetryAfter is when to try again; 0 says nothing. It is sent in whole seconds, rounded up.
	RetryAfter time.Duration
	// Outcome is one of the Outcome words, or "" where nothing is in doubt.
	Outcome string

	// title and description are REST's; see REST.
	title, description string
}

// Error returns the texts, for logs.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(e.Status))
	for _, text := range []string{e.Exception, e.Text} {
		if text != "" {
			b.WriteString(": ")
			b.WriteString(text)
		}
	}
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// WithCause returns a copy of e with a cause.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// protocolError is a fault of the frame.
func protocolError(status int, code, text string) *Error {
	return &Error{Status: status, Kind: KindProtocol, Code: code, Text: text}
}

// actionError is a fault of the action; text may be "".
func actionError(status int, code, text, exception string, args ...any) *Error {
	if len(args) > 0 {
		exception = fmt.Sprintf(exception, args...)
	}
	return &Error{Status: status, Kind: KindAction, Code: code, Text: text, Exception: exception}
}

// Faults of a frame that never vary.
var (
	errNotAnObject = protocolError(400, "not_an_object", "Unexpected body type. Expected dict or dict like.")
	errSchema      = protocolError(400, "schema", "Schema validation failed.")
	errClientID    = actionError(400, "client_id", "", "badly formed hexadecimal UUID string")
	errNoMessages  = actionError(400, "no_messages", "", "No messages to enqueu.")
	errNoBody      = actionError(400, "no_message_body", "", `Bad request. Missing "body" field.`)
	errNotMessage  = actionError(400, "not_a_message", "", "Bad request. A message must be an object.")
	errPopAndIDs   = actionError(400, "pop_and_ids", "", "pop and id params cannot be present together in the delete request.")
	errNoPopNoIDs  = actionError(400, "no_pop_no_ids", "",
		`The request should have either "ids" or "pop" parameter in the request, to be able to delete.`)
	errNoClaimIDs = actionError(400, "no_claim_ids", "",
		`The request should have both "ids" and "claim_ids" parameter in the request when message_delete_with_claim_id is True.`)
	errMetadataType = actionError(400, "metadata_type", "", "Queue metadata must be an object.")
	errQueueName    = actionError(400, "queue_name", "",
		"Queue names may only contain ASCII letters, digits, underscores, and dashes.").told(titleName, textIdentification("queue"))
)

// errUndecodable answers what is not JSON or not MessagePack.
func errUndecodable(codec Codec, detail string) *Error {
	if codec == MessagePack {
		return protocolError(400, "undecodable", "Can't decode binary (MessagePack) request. "+detail)
	}
	return protocolError(400, "undecodable", "Can't decode text (JSON) request. "+detail)
}

func errUnknownAction(name string) *Error {
	return protocolError(400, "unknown_action", name+" is not a valid action")
}

func errFieldType(field, want string) *Error {
	return actionError(400, "field_type", "", "Bad request. The value of the %q field must be a %s.", field, want)
}

func errFieldNUL(field string) *Error {
	return actionError(400, "field_nul", "", "Bad request. The value of the %q field must not contain NUL characters.", field)
}

// errInexpressible answers a value with which the other codec has trouble; path is the value's own.
func errInexpressible(value []byte, codec Codec, path string) *Error {
	_, err := Transcode(nil, value, codec, codec.other())
	var cause *InexpressibleError
	if !errors.As(err, &cause) {
		return ErrorInternal(fmt.Errorf("%s of a frame was to be inexpressible: %w", path, err))
	}
	located := InexpressibleError{Path: path + cause.Path, What: cause.What}
	return actionError(400, "inexpressible", "", "Bad request. %s", located.Error())
}

func errQueueNameLength(limit int) *Error {
	return actionError(400, "queue_name", "", "Queue names may not be more than %d characters long.", limit).
		told(titleName, textIdentification("queue"))
}

func errProjectIDLength(limit int) *Error {
	return actionError(400, "project_id", "", "Project ids may not be more than %d characters long.", limit).
		told(titleName, textIdentification("queue"))
}

func errQueueLimit(limit int) *Error {
	return actionError(400, "limit", "", "Limit must be at least 1 and no greater than %d.", limit)
}

func errLimit(limit int) *Error {
	return actionError(400, "limit", "", "Limit must be at least 1 and may not be greater than %d.", limit)
}

func errPop(limit int) *Error {
	return actionError(400, "pop", "", "Pop value must be at least 1 and may not be greater than %d.", limit)
}

func errIDCount(limit int) *Error {
	return actionError(400, "id_count", "", "ids parameter should have at least 1 and not greater than %d values.", limit)
}

// errTTL covers messages, claims and grace: what is "TTL for a message", "TTL for a claim" or "grace for a claim".
func errTTL(what string, most, least int32) *Error {
	return actionError(400, "ttl", "", "The %s may not exceed %d seconds, and must be at least %d seconds long.", what, most, least)
}

// errDelay lacks a space after its comma: so does Zaqar's.
func errDelay(most int32) *Error {
	return actionError(400, "delay", "", "The Delay TTL for a message may not exceed %d seconds,and must be at least 0 seconds long.", most)
}

func errSubscriptionTTL(least int32) *Error {
	return actionError(400, "ttl", "", "The TTL for a subscription must be at least %d seconds long.", least)
}

func errSubscriptionTTLMax(most int32) *Error {
	return actionError(400, "ttl", "", "The TTL for a subscription may not exceed %d seconds.", most)
}

func errSubscriberScheme(schemes []string) *Error {
	return actionError(400, "subscriber", "", "The subscriber type of subscription must be supported in the list ['%s'].",
		strings.Join(schemes, "', '"))
}

func errSubscriberSize(limit int) *Error {
	return actionError(400, "subscriber", "", "The subscriber is too long. Max size: %d bytes", limit)
}

// errOptionsSize covers the options of a subscription and of a pool.
func errOptionsSize(of string, limit int) *Error {
	return actionError(400, "options_size", "", "The options of the %s are too large. Max size: %d bytes", of, limit)
}

func errPostTooLarge(limit int) *Error {
	return actionError(400, "post_too_large", "", "Message collection size is too large. Max size %d", limit)
}

func errTooManyMessages(n, limit int) *Error {
	return actionError(400, "too_many_messages", "", "A post may hold %d messages at most, this one holds %d.", limit, n)
}

func errMetadataSize(limit int) *Error {
	return actionError(400, "metadata_size", "", "Queue metadata is too large. Max size: %d", limit)
}

// ErrorPostTooLargeForQueue answers a post that is larger than its queue's _max_messages_post_size, queueMax bytes.
func ErrorPostTooLargeForQueue(queueMax, limit int) *Error {
	return actionError(400, "post_too_large", "", "Message collection size is too large. The max size for current queue is %d. "+
		"It is calculated by max size = min(max_messages_post_size_config: %d, max_messages_post_size_queue: %d).",
		min(queueMax, limit), limit, queueMax)
}

// ErrorPostTooLarge answers a post that is larger than the limit in bytes.
func ErrorPostTooLarge(limit int) *Error { return errPostTooLarge(limit) }

// ErrorQueueMissing answers an action on a queue or a topic that does not exist, where the wire answers 404.
func ErrorQueueMissing(q QueueKey) *Error {
	what := "Queue"
	if q.IsTopic() {
		what = "Topic"
	}
	return actionError(404, "no_queue", "", "%s %s does not exist for project %s", what, q.ShownName(), q.Project)
}

// ErrorMessageMissing answers message_get for a message that does not exist.
func ErrorMessageMissing(q QueueKey, message string) *Error {
	return actionError(404, "no_message", "", "Message %s does not exist in queue %s for project %s", message, q.ShownName(), q.Project)
}

// ErrorClaimMissing answers claim_get and claim_update for a claim that does not exist or is over.
func ErrorClaimMissing(q QueueKey, claim string) *Error {
	return actionError(404, "no_claim", "Claim "+claim+" does not exist.",
		"Claim %s does not exist in queue %s for project %s", claim, q.ShownName(), q.Project)
}

// ErrorDeleteClaimMissing answers message_delete with a claim that does not exist or is over.
func ErrorDeleteClaimMissing(q QueueKey, claim string) *Error {
	return actionError(400, "no_claim", textNoSuchClaim,
		"Claim %s does not exist in queue %s for project %s", claim, q.ShownName(), q.Project).
		told(titleDelete, textNoSuchClaim)
}

// What is wrong with the claim of a deletion.
const (
	textNoSuchClaim = "The specified claim does not exist or has expired."
	textClaimed     = "This message is claimed; it cannot be deleted without a valid claim ID."
	textNotClaimed  = "A claim was specified, but the message is not currently claimed."
)

// ErrorMessageClaimed answers message_delete without a claim for a message that a claim holds.
func ErrorMessageClaimed(message string) *Error {
	return actionError(403, "claimed", textClaimed, "Message %s is claimed", message).told(titleDelete, textClaimed)
}

// ErrorMessageNotClaimedBy answers message_delete with another claim than the one that holds the message.
func ErrorMessageNotClaimedBy(message, claim string) *Error {
	return actionError(403, "not_claimed_by", textClaimed, "Message %s is not claimed by %s", message, claim).
		told(titleDelete, textClaimed)
}

// ErrorMessageNotClaimed answers message_delete with a claim for a message that nothing holds.
func ErrorMessageNotClaimed(message string) *Error {
	return actionError(400, "not_claimed", textNotClaimed, "Message %s is no longer claimed", message).
		told(titleDelete, textNotClaimed)
}

// ErrorSubscriptionMissing answers subscription_get for a subscription that does not exist.
func ErrorSubscriptionMissing(queue, subscription string) *Error {
	return actionError(404, "no_subscription", fmt.Sprintf("Subscription %s for queue %s does not exist.", subscription, queue),
		"Subscription %s does not exist", subscription)
}

// ErrorNotAuthenticated answers every action of a session that has yet to authenticate, or may not do what it asks.
func ErrorNotAuthenticated() *Error {
	return protocolError(403, "not_authenticated", "Not authentified.")
}

// ErrorAuthenticationFailed answers an authenticate whose token is not good.
func ErrorAuthenticationFailed(cause error) *Error {
	return protocolError(401, "authentication_failed", "Authentication failed.").WithCause(cause)
}

// ErrorUnavailable answers when the database does not: nothing was changed.
func ErrorUnavailable(retryAfter time.Duration, cause error) *Error {
	e := actionError(503, "unavailable", "Service is temporarily unavailable.", "The message store does not answer.")
	e.RetryAfter, e.Outcome, e.Cause = retryAfter, OutcomeNothing, cause
	return e
}

// ErrorOutcomeUnknown answers a write around whose commit the database went away.
func ErrorOutcomeUnknown(retryAfter time.Duration, cause error) *Error {
	e := actionError(503, "outcome_unknown", "Service is temporarily unavailable.",
		"The message store went away; the change may or may not have happened.")
	e.RetryAfter, e.Outcome, e.Cause = retryAfter, OutcomeUnknown, cause
	return e
}

// ErrorOverloaded answers when a bound of the gateway is reached: nothing was changed.
func ErrorOverloaded(retryAfter time.Duration, cause error) *Error {
	e := actionError(503, "overloaded", "Service is temporarily unavailable.", "The gateway is overloaded.")
	e.RetryAfter, e.Outcome, e.Cause = retryAfter, OutcomeNothing, cause
	return e
}

// ErrorStopping answers what arrives while the gateway shuts down: nothing was changed.
func ErrorStopping(retryAfter time.Duration) *Error {
	e := actionError(503, "stopping", "Service is temporarily unavailable.", "The gateway is shutting down.")
	e.RetryAfter, e.Outcome = retryAfter, OutcomeNothing
	return e
}

// ErrorInternal answers a fault of the gateway. The cause is never shown.
func ErrorInternal(cause error) *Error {
	return actionError(500, "internal", "Unexpected error.", "Internal error.").WithCause(cause)
}
