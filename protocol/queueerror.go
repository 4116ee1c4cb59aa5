package protocol

import "strconv"

// Faults of what is asked of queues, topics and subscriptions that never vary.
var (
	errTopicName = actionError(400, "topic_name", "",
		"Topic names may only contain ASCII letters, digits, underscores, and dashes.").told(titleTopic, textIdentification("topic"))
	errQueueAndTopic   = actionError(400, "queue_and_topic", "", "Either queue_name or topic_name names what is meant, not both.")
	errTopicClaim      = actionError(400, "topic_claim", "", "Topics have no claims: who wants a topic's messages subscribes to it.")
	errWaitWithoutID   = actionError(400, "wait_without_id", "", `A frame that waits needs an "id": replies to frames without one keep their order.`)
	errNothingToUpdate = actionError(400, "nothing_to_update", "", "One of subscriber, ttl or options needs to be specified.")
)

// textIdentification is how REST tells that a name, or a project's id, is not valid.
func textIdentification(what string) string {
	return "The format of the submitted " + what + " name or project id is not valid."
}

func errTopicNameLength(limit int) *Error {
	return actionError(400, "topic_name", "", "Topic names may not be more than %d characters long.", limit).
		told(titleTopic, textIdentification("topic"))
}

func errFilterSize(limit int) *Error {
	return actionError(400, "filter_size", "", "The filter is too large. Max size: %d", limit)
}

func errWait(most int32) *Error { return errTTL("wait of a request", most, 0) }

func errDeliveryID(id string) *Error {
	return actionError(400, "delivery_id", "", "%s is not the id of a dead delivery.", strconv.Quote(bounded(id)))
}

func errDeliveryIDCount(limit int) *Error {
	return actionError(400, "id_count", "", "delivery_ids should have at least 1 and not greater than %d values.", limit)
}

// bounded shortens what a stranger sent to what an answer may quote.
func bounded(text string) string {
	if len(text) > 64 {
		return text[:64]
	}
	return text
}

// Faults of a patch that never vary.
var (
	errPatchType = actionError(400, "patch", "", "Request body must be a JSON array of operation objects.").told(titleBody, "")
	errPatchItem = patchError("Operations must be JSON objects.")
	errPatchRoot = patchError("The root of path must be metadata, e.g /metadata/key.")
)

// patchError is a fault of a patch.
func patchError(exception string, args ...any) *Error {
	return actionError(400, "patch", "", exception, args...).told(titleBody, "")
}

// patchConflict answers a patch that the metadata do not fit.
func patchConflict(exception string, args ...any) *Error {
	return actionError(409, "patch_conflict", "", exception, args...)
}

// ErrorSubscriptionExists answers subscription_create and subscription_update when that subscriber has a subscription to
// the queue already.
func ErrorSubscriptionExists(r *Request) *Error {
	const unique = "Subscriptions are unique by project + queue + subscriber URI."
	if r.Action.Name == "subscription_update" {
		return actionError(409, "subscription_exists", "", "Such subscription already exists. "+unique)
	}
	// Without a space on REST, as recorded.
	return actionError(409, "subscription_exists", "", "Subscription %s not created.", r.Queue().ShownName()).
		told(titleConflict, "Such subscription already exists."+unique)
}

// ErrorMessagesMissing answers REST's listing of messages by id when none of them exists. ids are as sent.
func ErrorMessagesMissing(q QueueKey, ids []string) *Error {
	list := "["
	for i, id := range ids {
		if i > 0 {
			list += ", "
		}
		list += pythonText(id)
	}
	return actionError(404, "no_message", "", "No messages with IDs: %s found in the queue %s for project %s.",
		list+"]", q.ShownName(), q.Project)
}

// ErrorShare answers queue_share with what its fields lack.
func ErrorShare(exception string) *Error { return actionError(400, "share", "", exception) }

// ErrorNotAdmin answers an action of administrators to anybody else.
func ErrorNotAdmin() *Error {
	return actionError(403, "not_admin", "Not authorized", "You are not authorized to complete this action.")
}
