package gateway

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/nusku-messaging/nusku/protocol"
)

// The home document lists the resources (draft-nottingham-json-home-03). Its entries for what Zaqar has are Zaqar's, name
// by name, because clients look resources up by these names; those of ours follow their pattern. A test holds the table
// below against the route table.

// homeEntry is one entry of the home document.
type homeEntry struct {
	// rel is its name, without "rel/".
	rel string
	// pattern is the path, with variables in braces.
	pattern string
	allow   []string
	// query are the parameters in the template: a name or, where the document calls it otherwise, "name:other name".
	query []string
	// more are parameters that are described, but not in the template.
	more []string
	// plain says that the path is no template.
	plain bool
}

// The methods of entries that have several, in Zaqar's order.
var (
	getOnly    = []string{http.MethodGet}
	postOnly   = []string{http.MethodPost}
	putOnly    = []string{http.MethodPut}
	patchOnly  = []string{http.MethodPatch}
	deleteOnly = []string{http.MethodDelete}
	ofQueue    = []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch}
	ofAdmin    = []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete}
)

const (
	queuePattern = "/v2/queues/{queue_name}"
	topicPattern = "/v2/topics/{topic_name}"
)

// homeEntries is the home document as a table.
var homeEntries = slices.Concat(
	[]homeEntry{
		{rel: "queues", pattern: "/v2/queues", allow: getOnly, query: []string{"marker", "limit:queue_limit", "detailed"}},
	},
	ownHome("queue", queuePattern),
	belowHome("", queuePattern),
	[]homeEntry{
		{rel: "claim", pattern: queuePattern + "/claims/{claim_id}", allow: getOnly},
		{rel: "post_claim", pattern: queuePattern + "/claims", allow: postOnly, query: []string{"limit:claim_limit"}},
		{rel: "patch_claim", pattern: queuePattern + "/claims/{claim_id}", allow: patchOnly},
		{rel: "delete_claim", pattern: queuePattern + "/claims/{claim_id}", allow: deleteOnly},

		{rel: "topics", pattern: "/v2/topics", allow: getOnly, query: []string{"marker", "limit:topic_limit", "detailed"}},
	},
	ownHome("topic", topicPattern),
	belowHome("topic_", topicPattern),
	[]homeEntry{
		{rel: "ping", pattern: "/v2/ping", allow: getOnly},
		{rel: "pools", pattern: "/v2/pools", allow: getOnly, query: []string{"detailed", "limit:pool_limit", "marker"}},
		{rel: "pool", pattern: "/v2/pools/{pool_name}", allow: ofAdmin},
		{rel: "flavors", pattern: "/v2/flavors", allow: getOnly, query: []string{"detailed", "limit:flavor_limit", "marker"}},
		{rel: "flavor", pattern: "/v2/flavors/{flavor_name}", allow: ofAdmin},
		{rel: "health", pattern: "/v2/health", allow: getOnly, plain: true},
	},
)

// ownHome are the entries of a queue or a topic itself.
func ownHome(kind, pattern string) []homeEntry {
	return []homeEntry{
		{rel: kind, pattern: pattern, allow: ofQueue},
		{rel: kind + "_stats", pattern: pattern + "/stats", allow: getOnly},
		{rel: kind + "_share", pattern: pattern + "/share", allow: postOnly},
		{rel: kind + "_purge", pattern: pattern + "/purge", allow: postOnly},
	}
}

// belowHome are the entries that queues and topics have alike. before begins their names.
func belowHome(before, base string) []homeEntry {
	messages, subscriptions := base+"/messages", base+"/subscriptions"
	subscription := subscriptions + "/{subscriptions_id}"
	return []homeEntry{
		{rel: before + "messages", pattern: messages, allow: getOnly,
			query: []string{"marker", "limit:messages_limit", "echo", "include_claimed"}},
		{rel: before + "post_messages", pattern: messages, allow: postOnly},
		{rel: before + "messages_delete", pattern: messages, allow: deleteOnly, query: []string{"ids", "pop"}},
		{rel: before + "message_delete", pattern: messages + "/{message_id}", allow: deleteOnly, query: []string{"claim:claim_id"}},
		{rel: before + "message_get", pattern: messages + "/{message_id}", allow: getOnly},
		{rel: before + "messages_stream", pattern: messages + "/stream", allow: getOnly, query: []string{"marker", "client_id", "project_id"}},

		{rel: before + "subscriptions_get", pattern: subscriptions, allow: getOnly, query: []string{"marker", "limit:subscription_limit"}},
		{rel: before + "subscriptions_post", pattern: subscriptions, allow: postOnly, more: []string{"limit:subscription_limit"}},
		{rel: before + "subscription", pattern: subscription, allow: []string{http.MethodGet, http.MethodDelete}},
		{rel: before + "subscription_patch", pattern: subscription, allow: patchOnly},
		{rel: before + "subscription_confirm", pattern: subscription + "/confirm", allow: putOnly},
		{rel: before + "subscription_secret", pattern: subscription + "/secret", allow: []string{http.MethodGet, http.MethodPost}},
		{rel: before + "dead_deliveries", pattern: subscription + "/dead_deliveries", allow: []string{http.MethodGet, http.MethodDelete},
			query: []string{"marker", "limit:subscription_limit"}},
		{rel: before + "dead_deliveries_resend", pattern: subscription + "/dead_deliveries/resend", allow: postOnly},
	}
}

// homeDocument handles get_home_doc.
func (g *Gateway) homeDocument(c *call) { c.answer(200, homeFound{}) }

// homeFound is the home document.
type homeFound struct{}

func (homeFound) frame(w *protocol.Writer, _ *call) { w.RawJSON(homeJSON()) }

func (homeFound) resource(x *exchange) {
	x.header("Content-Type", "application/json-home")
	x.header("Cache-Control", "max-age=86400")
	x.json(200, func(w *protocol.Writer) { w.RawJSON(homeJSON()) })
}

// homeJSON is the home document, made once.
var homeJSON = sync.OnceValue(func() []byte {
	w := &protocol.Writer{}
	w.BeginMap(1)
	w.Key("resources")
	w.BeginMap(len(homeEntries))
	for i := range homeEntries {
		homeEntries[i].write(w)
	}
	w.EndMap()
	w.EndMap()
	return w.Buf
})

func (e *homeEntry) write(w *protocol.Writer) {
	vars := e.vars()
	w.Key("rel/" + e.rel)
	w.BeginMap(2 + countIf(len(vars) > 0))
	if e.plain {
		w.Key("href")
	} else {
		w.Key("href-template")
	}
	w.String(e.template())
	if len(vars) > 0 {
		w.Key("href-vars")
		w.BeginMap(len(vars))
		for _, v := range vars {
			name, param := parameterNames(v)
			w.Key(name)
			w.String("param/" + param)
		}
		w.EndMap()
	}
	w.Key("hints")
	e.writeHints(w)
	w.EndMap()
}

// writeHints: what takes a document of its own says so.
func (e *homeEntry) writeHints(w *protocol.Writer) {
	takes := len(e.allow) == 1 && (e.allow[0] == http.MethodPost || e.allow[0] == http.MethodPatch)
	w.BeginMap(2 + countIf(takes))
	writeStrings(w, "allow", e.allow)
	w.Key("formats")
	w.BeginMap(1)
	w.Key("application/json")
	w.BeginMap(0)
	w.EndMap()
	w.EndMap()
	if takes {
		writeStrings(w, "accept-post", []string{"application/json"})
	}
	w.EndMap()
}

// template is the entry's URI template (RFC 6570).
func (e *homeEntry) template() string {
	if len(e.query) == 0 {
		return e.pattern
	}
	names := make([]string, len(e.query))
	for i, v := range e.query {
		names[i], _ = parameterNames(v)
	}
	return e.pattern + "{?" + strings.Join(names, ",") + "}"
}

// vars are all parameters: the path's, the query's, and those beside the template.
func (e *homeEntry) vars() []string {
	var vars []string
	for part := range strings.SplitSeq(e.pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			vars = append(vars, strings.TrimSuffix(name, "}"))
		}
	}
	return slices.Concat(vars, e.query, e.more)
}

// parameterNames splits what homeEntry.query says of a parameter.
func parameterNames(text string) (name, param string) {
	name, param, ok := strings.Cut(text, ":")
	if !ok {
		return name, name
	}
	return name, param
}
