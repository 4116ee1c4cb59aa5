package spec

import "strings"

// answers are the schemas of an action's answers by status. In REST a nil schema is an answer without a body.
type answers map[int]schema

// entry is what the documents say of an action besides its fields.
type entry struct {
	tag, summary string
	// frame are the bodies of reply frames, rest those of HTTP responses, when all goes well, and the few others that are
	// not errors in shape.
	frame, rest answers
}

// The tags group actions for people.
const (
	tagQueues        = "Queues"
	tagTopics        = "Topics"
	tagMessages      = "Messages"
	tagClaims        = "Claims"
	tagSubscriptions = "Subscriptions"
	tagPools         = "Pools and flavors"
	tagService       = "The service"
)

// tags are in the order of the documents.
var tags = []string{tagQueues, tagTopics, tagMessages, tagClaims, tagSubscriptions, tagPools, tagService}

var (
	sentence = text("A sentence.")
	nothing  = object(members{})
	empty    schema // REST: no body
)

// list is an answer that holds a page, with links in REST.
func list(key string, items schema, more ...string) schema {
	m := members{key: array(items)}
	optional := []string{}
	for _, extra := range more {
		switch extra {
		case "links":
			m["links"] = ref("Links")
		case "count":
			m["count"] = seconds("How many there are.")
			optional = append(optional, "count")
		}
	}
	return object(m, optional...)
}

// listed is a queue or a topic of a list.
func listed(metadata string, address bool) schema {
	m := members{"name": text("Its name."), "metadata": ref(metadata)}
	if address {
		m = m.plus(linked)
	}
	return object(m, "metadata")
}

// entries are the entries of all actions but those of topics, which say what those of queues do.
var entries = map[string]entry{
	"queue_create": {tagQueues, "Make a queue, unless it exists", answers{201: sentence, 204: sentence}, answers{201: empty, 204: empty}},
	"queue_list": {tagQueues, "List the project's queues by name",
		answers{200: list("queues", listed("Metadata", false), "count")},
		answers{200: list("queues", listed("FullMetadata", true), "links", "count")}},
	"queue_get":       {tagQueues, "Get a queue's metadata", answers{200: ref("Metadata")}, answers{200: ref("FullMetadata")}},
	"queue_update":    {tagQueues, "Change a queue's metadata by a JSON patch", answers{200: ref("Metadata")}, answers{200: ref("FullMetadata")}},
	"queue_delete":    {tagQueues, "Delete a queue with its messages and claims", answers{204: sentence}, answers{204: empty}},
	"queue_get_stats": {tagQueues, "Count a queue's messages", answers{200: ref("FrameStats"), 404: ref("FrameStats")}, answers{200: ref("Stats")}},
	"queue_purge":     {tagQueues, "Drop a queue's messages, subscriptions or both", answers{204: nothing}, answers{204: empty}},
	"queue_share":     {tagQueues, "Make a signed URL for parts of a queue", answers{200: ref("SignedURL")}, answers{200: ref("SignedURL")}},

	"message_post": {tagMessages, "Post messages, in order; the queue is made if it is missing",
		answers{201: object(members{"message_ids": array(text("A message's id."))})},
		answers{201: object(members{"resources": array(text("Where a message is."))})}},
	"message_list": {tagMessages, "List messages, in order",
		answers{200: list("messages", ref("FrameMessage"))}, answers{200: list("messages", ref("Message"), "links")}},
	"message_get": {tagMessages, "Get a message",
		answers{200: object(members{"messages": ref("FrameMessage")})}, answers{200: ref("Message")}},
	"message_get_many": {tagMessages, "Get messages by their ids",
		answers{200: list("messages", ref("FrameMessage"))}, answers{200: list("messages", ref("Message"))}},
	"message_delete": {tagMessages, "Delete a message; one that is claimed needs its claim", answers{204: nothing}, answers{204: empty}},
	"message_delete_many": {tagMessages, "Delete messages by their ids, or pop them from the head",
		answers{204: nothing, 200: list("messages", ref("PoppedMessage"))}, answers{204: empty, 200: list("messages", ref("PoppedMessage"))}},

	"claim_create": {tagClaims, "Claim messages: no other claim holds them until this one ends",
		answers{201: claimMade, 204: object(members{"claim_id": text("The id of no claim.")})},
		answers{201: list("messages", ref("Message")), 204: empty}},
	"claim_get": {tagClaims, "Get a claim with its messages",
		answers{200: object(aged.plus(members{"messages": array(ref("FrameMessage"))}))},
		answers{200: object(aged.plus(linked).plus(members{"messages": array(ref("Message"))}))}},
	"claim_update": {tagClaims, "Renew a claim", answers{204: sentence}, answers{204: empty}},
	"claim_delete": {tagClaims, "Release a claim", answers{204: sentence}, answers{204: empty}},

	"subscription_create": {tagSubscriptions, "Subscribe a webhook, a mail address or, in a frame, this socket",
		answers{201: subscriptionMade, 409: sentence}, answers{201: object(members{"subscription_id": text("The subscription's id.")})}},
	"subscription_get": {tagSubscriptions, "Get a subscription", answers{200: ref("Subscription")}, answers{200: ref("Subscription")}},
	"subscription_list": {tagSubscriptions, "List a queue's subscriptions",
		answers{200: list("subscriptions", ref("Subscription"))}, answers{200: list("subscriptions", ref("Subscription"), "links")}},
	"subscription_update":  {tagSubscriptions, "Change a subscription", answers{204: sentence}, answers{204: empty}},
	"subscription_confirm": {tagSubscriptions, "Say whether the subscriber wants the messages", answers{204: sentence}, answers{204: empty}},
	"subscription_secret": {tagSubscriptions, "Get what signs the requests to a webhook, or renew it",
		answers{200: ref("Secrets")}, answers{200: ref("Secrets")}},
	"subscription_delete": {tagSubscriptions, "Delete a subscription", answers{204: sentence}, answers{204: empty}},
	"dead_delivery_list": {tagSubscriptions, "List what could not be delivered",
		answers{200: list("dead_deliveries", ref("DeadDelivery"))}, answers{200: list("dead_deliveries", ref("DeadDelivery"), "links")}},
	"dead_delivery_resend": {tagSubscriptions, "Send dead deliveries again", answers{204: ref("Count")}, answers{204: empty}},
	"dead_delivery_delete": {tagSubscriptions, "Forget dead deliveries", answers{204: ref("Count")}, answers{204: empty}},

	"pool_create":   {tagPools, "Make a database a pool, or change one", answers{201: sentence}, answers{201: empty}},
	"pool_get":      {tagPools, "Get a pool", answers{200: ref("FramePool")}, answers{200: ref("Pool")}},
	"pool_list":     {tagPools, "List the pools by name", answers{200: list("pools", ref("FramePool"))}, answers{200: list("pools", ref("Pool"), "links")}},
	"pool_update":   {tagPools, "Change a pool", answers{200: ref("FramePool")}, answers{200: ref("Pool")}},
	"pool_delete":   {tagPools, "Delete a pool, not its database", answers{204: sentence}, answers{204: empty}},
	"flavor_create": {tagPools, "Name pools by a flavor, or change one", answers{201: sentence}, answers{201: empty}},
	"flavor_get":    {tagPools, "Get a flavor", answers{200: ref("FrameFlavor")}, answers{200: ref("Flavor")}},
	"flavor_list": {tagPools, "List the flavors by name", answers{200: list("flavors", ref("FrameFlavor"))},
		answers{200: list("flavors", ref("Flavor"), "links")}},
	"flavor_update": {tagPools, "Change a flavor's pools", answers{200: ref("FrameFlavor")}, answers{200: ref("Flavor")}},
	"flavor_delete": {tagPools, "Delete a flavor, not its pools", answers{204: sentence}, answers{204: empty}},

	"get_home_doc":      {tagService, "Get the list of all resources", answers{200: ref("HomeDocument")}, answers{200: ref("HomeDocument")}},
	"ping_node":         {tagService, "Ask whether the gateway answers", answers{204: nothing}, answers{204: empty}},
	"check_node_health": {tagService, "Try real operations on every pool", answers{200: ref("Health")}, answers{200: ref("Health")}},
	"authenticate": {tagService, "Say once for the session who and which project it is",
		answers{200: object(members{"message": sentence})}, nil},
}

var (
	claimMade        = object(members{"claim_id": text("The claim's id."), "messages": array(ref("FrameMessage"))})
	subscriptionMade = object(members{
		"subscription_id": text("The subscription's id."), "message": sentence,
		"marker": text("Everything behind it will be pushed."),
	}, "marker")
)

// entryOf returns the entry of an action; ok is false when there is none.
func entryOf(action string) (e entry, ok bool) {
	verb, topic := strings.CutPrefix(action, "topic_")
	if !topic {
		e, ok = entries[action]
		return e, ok
	}
	e, ok = entries["queue_"+verb]
	e.tag, e.summary = tagTopics, strings.NewReplacer("queue", "topic").Replace(e.summary)
	if verb == "list" {
		e.frame = answers{200: list("topics", listed("Metadata", false), "count")}
		e.rest = answers{200: list("topics", listed("FullMetadata", true), "links", "count")}
	}
	return e, ok
}
