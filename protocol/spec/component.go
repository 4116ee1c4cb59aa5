package spec

import (
	"maps"
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// The members that several things have.
var (
	aged       = members{"ttl": seconds("How long it lives, in seconds."), "age": seconds("How long it has lived, in seconds.")}
	frameClaim = members{"claim_id": text("The claim that holds the message.").orNull()}
	counted    = members{"claim_count": seconds("How many claims of the message ended without its deletion.")}
	deadLetter = counted.plus(members{"origin": ref("Origin")})
	body       = members{"body": anything("What was posted.")}
	messageID  = members{"id": text("The message's id.")}
	hashed     = members{"checksum": text("The body's checksum, where the gateway is set to tell it.")}
	linked     = members{"href": text("Where it is.")}
)

// Some components only frames need, and some only REST.
var (
	ofFrames = []string{"FrameError", "FrameMessage", "FrameStats", "FramePool", "FrameFlavor", "Count"}
	ofREST   = []string{"Error", "Message", "Stats", "Pool", "Flavor", "Links", "FullMetadata", "Versions"}
)

// componentsOf are the components of one document.
func componentsOf(frames bool) members {
	all := components()
	others := ofFrames
	if frames {
		others = ofREST
	}
	for _, component := range others {
		delete(all, component)
	}
	return all
}

// components are the schemas that answers and requests share.
func components() members { return general().plus(messageShapes()).plus(otherShapes()) }

// general are the schemas of faults, of metadata and of what is posted.
func general() members {
	return members{
		"Error": object(members{
			"title": text("What kind of fault it is."), "description": text("What is wrong."),
			"retry_after": retryAfter, "outcome": outcome,
		}, "description", "retry_after", "outcome"),
		"FrameError": object(members{
			"error": text("What is wrong, for people.").orNull(), "exception": text("What is wrong, technically."),
			"retry_after": retryAfter, "outcome": outcome,
		}, "exception", "retry_after", "outcome"),

		"Metadata": metadataSchema(), "Patch": patchSchema(), "RetryPolicy": retrySchema(),
		"FullMetadata": schema{"allOf": []schema{ref("Metadata")}, "required": protocol.MetadataDefaults()},
		"NewMessage":   newMessageSchema(),
		"Links":        array(object(members{"rel": constant("next"), "href": text("The next page.")})).with("maxItems", 1),

		"SignedURL": object(members{
			"paths": array(text("")), "methods": array(text("")), "project": text("The project."),
			"expires": text("Until when it is good, in UTC, as 2026-01-31T12:00:00."), "signature": text("HMAC-SHA256 over the rest, in hexadecimal."),
		}),
		"HomeDocument": object(members{"resources": openObject("By relation, what there is and where.")}),
		"Versions":     object(members{"versions": array(openObject("A version of the API."))}),
	}
}

// messageShapes are messages as the answers show them, and their counts.
func messageShapes() members {
	return members{
		"Origin": object(members{
			"queue_name": text("The queue in which the message was."), "message_id": text("The id that it had there."),
			"claim_count": seconds("How many claims it had there."), "dead_lettered_at": text("When it was moved.").with("format", "date-time"),
		}, "claim_count", "dead_lettered_at"),
		"FrameMessage": object(messageID.plus(frameClaim).plus(aged).plus(body).plus(deadLetter), "claim_count", "origin"),
		"Message":      object(messageID.plus(linked).plus(aged).plus(body).plus(hashed), "checksum"),
		"PoppedMessage": object(messageID.plus(frameClaim).plus(aged).plus(body).plus(deadLetter).plus(hashed),
			"checksum", "origin"),
		"FrameStats": statsSchema(messageID), "Stats": statsSchema(linked),
	}
}

// otherShapes are subscriptions, pools and flavors, and their health.
func otherShapes() members {
	return members{
		"Subscription": object(aged.plus(members{
			"id": text("The subscription's id."), "source": text("The queue or the topic."), "subscriber": text("Its URI."),
			"options": openObject("What was asked for."), "confirmed": boolean("Whether the subscriber has confirmed it."),
		})),
		"DeadDelivery": object(body.plus(members{
			"id": text("Its id."), "message_id": text("The message's id."), "ttl": seconds("How long the message was to live, in seconds."),
			"attempts": seconds("How often its delivery was attempted."), "reason": text("How the last attempt failed."),
			"failed_at": text("When it was given up.").with("format", "date-time"), "resend": boolean("Whether it is being sent again."),
		})),
		"Secrets": object(members{"secrets": array(text("A secret of Standard Webhooks, whsec_ and base64; the newest comes first."))}),
		"Count":   object(members{"count": seconds("How many there were.")}),
		"Pool":    object(poolMembers.plus(linked), "options"), "FramePool": object(poolMembers, "options"),
		"Flavor": object(flavorMembers.plus(linked), "capabilities"), "FrameFlavor": object(flavorMembers, "capabilities"),
		"Health": healthSchema(),
	}
}

var (
	retryAfter = number("When to try again, in seconds.").with("minimum", 1)
	outcome    = schema{"enum": []string{protocol.OutcomeNothing, protocol.OutcomeUnknown},
		"description": "Whether nothing was changed, or that is not known."}

	poolMembers = members{
		"name": text("The pool's name."), "uri": text("Where its database is, without the password."),
		"weight": seconds("Its share of the new queues, relative to the others'."), "flavor": text("The flavor that it belongs to.").orNull(),
		"options": openObject("What was set with it."),
	}
	flavorMembers = members{
		"name": text("The flavor's name."), "pool_list": array(text("A pool's name.")), "capabilities": array(text("What its pools can do.")),
	}
)

// statsSchema: the newest and the oldest message are named by an id in frames and by an address in REST.
func statsSchema(name members) schema {
	one := object(name.plus(aged).plus(body).plus(counted).plus(frameClaim).plus(hashed).plus(members{
		"created": text("When it was posted.").with("format", "date-time"), "origin": ref("Origin"),
	}), "checksum", "origin", "claim_id")
	count := func(what string) schema { return seconds("How many messages are " + what + ".") }
	return object(members{"messages": object(members{
		"claimed": count("claimed"), "free": count("neither claimed nor, where those are told, delayed"),
		"delayed": count("not due yet"), "total": count("there"), "newest": one, "oldest": one,
	}, "delayed", "newest", "oldest")})
}

func healthSchema() schema {
	operation := object(members{
		"succeeded": boolean("Whether it went well."), "seconds": schema{"type": "number"}, "ref": text("What to look for in the log.").orNull(),
	})
	pool := object(members{
		"storage_reachable": boolean("Whether its database answers."), "ref": text("What to look for in the log when it does not."),
		"operation_status": schema{"type": "object", "additionalProperties": operation},
		"message_volume":   object(members{"free": number(""), "claimed": number(""), "total": number("")}),
	}, "message_volume", "ref")
	several := schema{"type": "object", "properties": members{"catalog_reachable": boolean("Whether the catalogue of pools answers.")},
		"required": []string{"catalog_reachable"}, "additionalProperties": pool}
	return anyOf(pool, several)
}
