package spec

import (
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// headerParameters are the headers that requests may have.
var headerParameters = schema{
	"ClientID": header("Client-ID", text("The client.").with("format", "uuid"), true), "ProjectID": header("X-Project-ID", text("The project."), true),
	"Roles":        header("X-Roles", text("Roles, separated by commas; admin counts while authentication is off."), false),
	"URLSignature": header("URL-Signature", text("The signature of a signed URL; the next three belong to it."), false),
	"URLExpires":   header("URL-Expires", text("Until when the signed URL is good."), false),
	"URLMethods":   header("URL-Methods", text("Its methods, separated by commas."), false),
	"URLPaths":     header("URL-Paths", text("Its paths, separated by commas."), false),
	"IfMatch":      header("If-Match", text("The entity tags of metadata that may be changed; else it is 412."), false),
	"IfNoneMatch":  header("If-None-Match", text("The entity tags of metadata that are known already: it is 304 then."), false),
}

func header(name string, s schema, required bool) schema {
	return schema{"name": name, "in": "header", "schema": s, "required": required}
}

// headersOf are the headers that a row reads. Where the subscriber's consent is asked for, administrators may give it.
func headersOf(a *protocol.Action, row *Route) []schema {
	list := headerRefs("ClientID", "ProjectID")
	if a.Admin || a.Name == "subscription_confirm" {
		list = append(list, headerRefs("Roles")...)
	}
	switch a.Name {
	case "queue_get", "topic_get":
		list = append(list, headerRefs("IfNoneMatch")...)
	case "queue_update", "topic_update":
		list = append(list, headerRefs("IfMatch")...)
	}
	if shareable(row.Pattern) {
		list = append(list, signatureHeaders()...)
	}
	return list
}

// shareable says whether a path is one that a signed URL may be good for.
func shareable(pattern string) bool {
	for _, part := range []string{"/messages", "/claims", "/subscriptions"} {
		if strings.Contains(pattern, part) {
			return true
		}
	}
	return false
}

func signatureHeaders() []schema {
	return headerRefs("URLSignature", "URLExpires", "URLMethods", "URLPaths")
}

func headerRefs(names ...string) []schema {
	list := make([]schema, len(names))
	for i, name := range names {
		list[i] = schema{"$ref": "#/components/parameters/" + name}
	}
	return list
}
