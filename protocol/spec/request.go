package spec

import (
	"math"

	"github.com/nusku-messaging/nusku/protocol"
)

// limits are the defaults: the documents say what holds where nothing is set.
var limits = protocol.DefaultLimits()

// between is a number in a range.
func between(description string, least, most int64) schema {
	return number(description).with("minimum", least).with("maximum", most)
}

// pageOf is the limit of a list.
func pageOf(most int) schema {
	return between("How many at most.", 1, int64(most)).with("default", limits.DefaultPage)
}

// listOf is an array that is described.
func listOf(description string, items schema) schema {
	return array(items).with("description", description)
}

// namePattern is what the names of queues, topics, pools and flavors are made of.
const namePattern = "^[A-Za-z0-9_.-]+$"

func name(of string, longest int) schema {
	return text("The name of the "+of+".").with("pattern", namePattern).with("maxLength", longest)
}

// fieldSchemas describe the fields of the bodies.
var fieldSchemas = members{
	"queue_name":      name("queue", limits.MaxQueueNameLength),
	"topic_name":      name("topic", limits.MaxQueueNameLength),
	"metadata":        ref("Metadata"),
	"detailed":        boolean("Whether to tell all of each."),
	"with_count":      boolean("Whether to count them all."),
	"echo":            boolean("Whether to list what this client has posted, too."),
	"include_claimed": boolean("Whether to list what is claimed, too."),
	"include_delayed": boolean("Whether to list what is not due yet, too."),
	"limit":           pageOf(limits.MaxQueuesPerPage),
	"marker":          text("List what comes after this one."),
	"messages":        listOf("What to post: a list of NewMessage.", ref("NewMessage")).with("minItems", 1).with("maxItems", limits.MaxMessagesPerPost),
	"message_id":      text("The message's id."),
	"message_ids":     listOf("The messages' ids.", text("")).with("minItems", 1).with("maxItems", limits.MaxMessagesPerPage),
	"pop":             between("Delete and answer so many from the queue's head.", 1, int64(limits.MaxMessagesPerClaim)),
	"claim_id":        text("The claim that holds the message."),
	"claim_ids":       listOf("The claims that hold the messages.", text("")),
	"ttl": between("How long the claim lives, in seconds.", int64(limits.MinClaimTTL), int64(limits.MaxClaimTTL)).
		with("default", limits.DefaultClaimTTL),
	"grace": between("How long claimed messages outlive the claim at least, in seconds.", int64(limits.MinClaimGrace), int64(limits.MaxClaimGrace)).
		with("default", limits.DefaultClaimGrace),
	"subscription_id": text("The subscription's id."),
	"subscriber":      text("The URI of the subscriber: http, https or mailto.").with("maxLength", limits.MaxSubscriberBytes),
	"options":         openObject("Options, as an object."),
	"resource_types":  listOf("messages, subscriptions or both; both without it.", text("")),
	"name":            text("Keep those whose name holds this."),
	"filter": schema{"type": "object", "description": "Keep those with these attributes.",
		"additionalProperties": schema{"type": []string{"string", "number", "boolean"}}},
	"patch":     ref("Patch"),
	"wait":      between("How long to wait for a message when there is none, in seconds.", 0, int64(limits.MaxWait)),
	"paths":     listOf("What of it the URL is good for; messages without it.", schema{"enum": []string{"messages", "subscriptions", "claims"}}),
	"methods":   listOf("The HTTP methods that it is good for; GET without it.", text("")),
	"expires":   text("Until when it is good, in UTC, as 2026-01-31T12:00:00; a day from now without it."),
	"confirmed": boolean("Whether the subscriber wants the messages."),
	"rotate":    boolean("Whether to make a new secret first."),
	"delivery_ids": listOf("The ids of dead deliveries; all without it.", text("").with("pattern", "^-?[0-9]+$")).
		with("minItems", 1).with("maxItems", limits.MaxSubscriptionsPerPage),
	"pool_name":    name("pool", 64),
	"uri":          text("The URI of a PostgreSQL database.").with("maxLength", 255),
	"weight":       between("The pool's share of the new queues, relative to the others'; 0 takes none.", 0, math.MaxUint32),
	"flavor":       text("The flavor that the pool belongs to; an empty text takes it out."),
	"flavor_name":  name("flavor", 64),
	"pool_list":    listOf("The names of its pools.", name("pool", 64)).with("minItems", 1),
	"capabilities": openObject("Taken and not looked at: what pools can do is not for clients to say."),
}

// fieldSchema describes a field as an action reads it.
func fieldSchema(action string, f protocol.FieldInfo) schema {
	switch action + "." + f.Name {
	case "message_list.limit":
		return pageOf(limits.MaxMessagesPerPage)
	case "claim_create.limit":
		return between("How many messages at most.", 1, int64(limits.MaxMessagesPerClaim)).with("default", limits.DefaultMessagesPerClaim)
	case "claim_get.claim_id", "claim_update.claim_id", "claim_delete.claim_id":
		return text("The claim's id.")
	case "subscription_create.ttl":
		return subscriptionTTL().with("default", limits.DefaultSubscriptionTTL)
	case "subscription_update.ttl":
		return subscriptionTTL()
	}
	return fieldSchemas[f.Name]
}

func subscriptionTTL() schema {
	return between("How long the subscription lives, in seconds.", int64(limits.MinSubscriptionTTL), int64(limits.MaxSubscriptionTTL))
}

// requiredFields are required by the action's own check, so that the answer can say so better than a schema would.
var requiredFields = map[string][]string{
	"pool_create":   {"uri", "weight"},
	"flavor_create": {"pool_list"},
	"flavor_update": {"pool_list"},
}

// bodySchema describes an object of fields. Members that no field is named for are ignored.
func bodySchema(action string, fields, required protocol.FieldSet) schema {
	properties := members{}
	needed := requiredFields[action]
	for _, f := range fields.Fields() {
		properties[f.Name] = fieldSchema(action, f)
	}
	for _, f := range required.Fields() {
		needed = append(needed, f.Name)
	}
	s := schema{"type": "object", "properties": properties}
	if len(needed) > 0 {
		s["required"] = needed
	}
	return s
}

// frameBody describes the body of an action's frame. Where a topic may stand in a queue's place, it has one of the names.
func frameBody(a *protocol.Action) schema {
	if !a.TakesTopic() {
		return bodySchema(a.Name, a.Required|a.Optional, a.Required)
	}
	s := bodySchema(a.Name, a.Required|a.Optional, a.Required&^protocol.FieldQueueName)
	return s.with("oneOf", []schema{
		{"required": []string{"queue_name"}},
		{"required": []string{"topic_name"}},
	})
}

func newMessageSchema() schema {
	return schema{
		"type": "object", "required": []string{"body"},
		"properties": members{
			"body": anything("What to post."),
			"ttl": between("How long the message lives once it is due, in seconds; without it, as its queue says.",
				int64(limits.MinMessageTTL), int64(limits.MaxMessageTTL)),
			"delay": between("When the message is due, in seconds from now; without it, as its queue says.", 0, int64(limits.MaxMessageDelay)),
		},
	}
}
