package spec

import (
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
)

// GenerateAsyncAPI makes the AsyncAPI document from the action table.
func GenerateAsyncAPI() ([]byte, error) {
	schemas, messages, operations := componentsOf(true), schema{}, schema{}
	for name, s := range envelopes() {
		schemas[name] = s
	}
	messages["Notification"] = message("Notification", "A message of a subscribed queue")
	messages["Gap"] = message("Gap", "What of a subscribed queue will not come")
	for _, a := range protocol.Actions() {
		e, ok := entryOf(a.Name)
		if !ok {
			return nil, errNoEntry(a.Name)
		}
		schemas[a.Name] = frameSchema(a)
		schemas[a.Name+".reply"] = replySchema(e.frame)
		messages[a.Name] = message(a.Name, e.summary)
		messages[a.Name+".reply"] = message(a.Name+".reply", "The reply to "+a.Name)
		operations[a.Name] = operation(a, &e)
	}
	operations["push"] = schema{
		"action": "send", "channel": channelRef, "summary": "What subscriptions of this socket bring",
		"messages": []schema{onChannel("Notification"), onChannel("Gap")},
	}
	names := sorted(messages)
	onSocket := schema{}
	for _, name := range names {
		onSocket[name] = schema{"$ref": "#/components/messages/" + name}
	}
	return encode(schema{
		"asyncapi": "3.0.0", "info": info("Nusku over WebSocket", socketText),
		"defaultContentType": "application/json",
		"channels": schema{"socket": schema{
			"address": "/", "title": "The WebSocket", "description": "Any path upgrades.", "messages": onSocket,
		}},
		"operations": operations,
		"components": schema{"messages": messages, "schemas": schemas},
	})
}

const socketText = "Frames are JSON as text or MessagePack as binary; an answer has the format of its request. A frame with an `id` is " +
	"answered compactly and may be overtaken; one without is echoed, in order."

// info is what both documents say of themselves.
func info(title, description string) schema {
	list := make([]schema, len(tags))
	for i, tag := range tags {
		list[i] = schema{"name": tag}
	}
	return schema{"title": title, "version": version, "description": description, "tags": list}
}

var channelRef = schema{"$ref": "#/channels/socket"}

func onChannel(message string) schema { return schema{"$ref": "#/channels/socket/messages/" + message} }

func message(name, title string) schema {
	return schema{"name": name, "title": title, "payload": ref(name)}
}

func operation(a *protocol.Action, e *entry) schema {
	o := schema{
		"action": "receive", "channel": channelRef, "summary": e.summary, "tags": []schema{{"name": e.tag}},
		"messages": []schema{onChannel(a.Name)},
		"reply":    schema{"channel": channelRef, "messages": []schema{onChannel(a.Name + ".reply")}},
	}
	if a.Admin {
		o["description"] = adminText
	}
	return o
}

const adminText = "For administrators."

// envelopes are the schemas that all frames share.
func envelopes() members {
	status := object(members{"status": number("As HTTP's.").with("minimum", 100).with("maximum", 599)})
	id := schema{"type": []string{"string", "number"}, "description": "The client's own: the reply has it, too."}
	return members{
		"FrameID": id,
		"FrameHeaders": schema{
			"type": "object", "description": "Client-ID and X-Project-ID are needed unless they were said once for the session.",
			"properties": members{
				"Client-ID": text("A UUID that names the client."), "X-Project-ID": text("The project."), "X-Auth-Token": text("A token."),
				"X-Roles":       text("Roles, separated by commas; they count while authentication is off."),
				"URL-Signature": text("The signature of a signed URL."), "URL-Expires": text("Its expiry."),
				"URL-Methods": text("Its methods, separated by commas."), "URL-Paths": text("Its paths, separated by commas."),
			},
		},
		"Reply": anyOf(
			object(members{"request": echoSchema(), "headers": status, "body": anything("")}),
			object(members{"id": ref("FrameID"), "action": anything("That of the request."), "headers": status, "body": anything("")}),
		),
		"Notification": object(members{
			"Message_Type": constant("Notification"), "queue_name": text("The queue or the topic."), "ttl": aged["ttl"], "body": body["body"],
			"id": messageID["id"], "marker": text("List or subscribe from here on."), "age": aged["age"],
			"claim_count": counted["claim_count"], "origin": ref("Origin"),
		}, "id", "marker", "age", "claim_count", "origin"),
		"Gap": object(members{
			"Message_Type": constant("Gap"), "queue_name": text("The queue or the topic."),
			"body": object(members{
				"from": number("The first number that is missing."), "to": number("The last one."),
				"reason": schema{"enum": gapReasons},
			}),
		}),
	}
}

// gapReasons are all that there are; a test holds them to the code.
var gapReasons = []protocol.GapReason{
	protocol.GapExpired, protocol.GapPurged, protocol.GapConsumed, protocol.GapDeleted, protocol.GapFailover,
	protocol.GapSubscriptionExpired, protocol.GapSubscriptionEnded,
}

func echoSchema() schema {
	return object(members{"action": anything(""), "body": anything(""), "headers": anything(""), "api": constant("v2")})
}

// frameSchema describes an action's frame.
func frameSchema(a *protocol.Action) schema {
	required := []string{"action"}
	if !a.Bodyless() {
		required = append(required, "body")
	}
	return schema{
		"type": "object", "required": required,
		"properties": members{
			"action": constant(a.Name), "id": ref("FrameID"), "headers": ref("FrameHeaders"), "body": frameBody(a),
		},
	}
}

// replySchema describes the reply to an action: what its body is goes by the status.
func replySchema(bodies answers) schema {
	cases := []schema{replyCase(schema{"minimum": 400}, ref("FrameError"))}
	for _, status := range statuses(bodies) {
		cases = append(cases, replyCase(constant(status), bodies[status]))
	}
	return schema{"allOf": []schema{ref("Reply"), anyOf(cases...)}}
}

func replyCase(status, body schema) schema {
	return schema{"properties": members{"headers": schema{"properties": members{"status": status}}, "body": body}}
}

func statuses(a answers) []int {
	var list []int
	for status := range a {
		list = append(list, status)
	}
	slices.Sort(list)
	return list
}
