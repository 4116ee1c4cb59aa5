package protocol

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// restCase is a request by REST and its answer; title "" is none.
type restCase struct {
	name, action string
	path         PathValues
	query, body  string
	title, text  string
}

var (
	queueQ = PathValues{QueueName: "q"}
	topicT = PathValues{TopicName: "t"}
	poolP  = PathValues{PoolName: "p2"}
	flavor = PathValues{FlavorName: "f2"}
)

const (
	limit20     = "Limit must be at least 1 and may not be greater than 20."
	limit20List = "Limit must be at least 1 and no greater than 20."
	claimTTL    = "The TTL for a claim may not exceed 43200 seconds, and must be at least 60 seconds long."
	intTTL      = `The value of the "ttl" field must be a int.`
	noPatchBody = "PATCH body could not be empty for update."
	bodyBroken  = "Request body could not be parsed."
)

// restCases are what was recorded from a Zaqar server, as far as no storage is needed for it, and what is our own.
var restCases = []restCase{
	{"name too long", "queue_create", PathValues{QueueName: strings.Repeat("v", 65)}, "", "", titleName, textIdentification("queue")},
	{"bad character", "queue_create", PathValues{QueueName: "m@rs"}, "", "", titleName, textIdentification("queue")},
	{"topic, bad character", "topic_get", PathValues{TopicName: "m@rs"}, "", "", titleTopic, textIdentification("topic")},
	{"name before body", "message_post", PathValues{QueueName: "m@rs"}, "", "{", titleName, textIdentification("queue")},

	{"queue", "queue_create", queueQ, "", `{"_default_message_ttl": 300}`, "", ""},
	{"queue, no body", "queue_create", queueQ, "", "", "", ""},
	{"queue, bad JSON", "queue_create", queueQ, "", "{", titleBody, bodyBroken},
	{"queue, null", "queue_create", queueQ, "", "null", titleBody, bodyBroken},
	{"queue, not an object", "queue_create", queueQ, "", "[]", titleBody, "Document type not supported."},
	{"queue, integer too large", "queue_create", queueQ, "", `{"a": 9223372036854775808}`, titleBody, "JSON contains integer that is too large."},
	{"queue, integer too small", "queue_create", queueQ, "", `{"a": -9223372036854775809}`, titleBody, "JSON contains integer that is too large."},
	{"queue, largest integers", "queue_create", queueQ, "", `{"a": [9223372036854775807, -9223372036854775808]}`, "", ""},
	{"queue, ttl", "queue_create", queueQ, "", `{"_default_message_ttl": 10}`, titleAPI,
		"_default_message_ttl can not exceed 1209600 seconds, and must be at least 60 seconds long."},
	{"queue, flavor", "queue_create", queueQ, "", `{"_flavor": "m@rs"}`, titleAPI, "_flavor must be the name of a flavor."},
	{"queue, too large", "queue_create", queueQ, "", `{"x": "` + strings.Repeat("x", 65536) + `"}`, titleAPI, "Queue metadata is too large. Max size: 65536"},
	{"queue, key twice", "queue_create", queueQ, "", `{"a": 1, "a": 2}`, titleBody,
		bodyBroken + ` JSONDecodeError: Duplicate key "a": line 1 column 14 (char 13)`},

	{"queues", "queue_list", PathValues{}, "limit=20&detailed=true&with_count=1&name=x&colour=red", "", "", ""},
	{"queues, limit too large", "queue_list", PathValues{}, "limit=21", "", titleAPI, limit20List},
	{"queues, limit 0", "queue_list", PathValues{}, "limit=0", "", titleAPI, limit20List},
	{"queues, limit no number", "queue_list", PathValues{}, "limit=x", "", titleParameter, `The "limit" parameter is invalid. The value must be an integer.`},
	{"queues, limit beyond 64 bits", "queue_list", PathValues{}, "limit=99999999999999999999", "", titleAPI, limit20List},
	{"queues, limit empty", "queue_list", PathValues{}, "limit=", "", "", ""},
	{"queues, detailed no boolean", "queue_list", PathValues{}, "detailed=x", "", titleParameter,
		`The "detailed" parameter is invalid. The value of the parameter must be "true" or "false".`},

	{"patch", "queue_update", queueQ, "", `[{"op": "add", "path": "/metadata/a", "value": 1}]`, "", ""},
	{"patch, empty", "queue_update", queueQ, "", "", titleBody, noPatchBody},
	{"patch, bad JSON", "queue_update", queueQ, "", "[", titleBody, bodyBroken},
	{"patch, not a list", "queue_update", queueQ, "", `{"op": "add"}`, titleBody, "Request body must be a JSON array of operation objects."},
	{"patch, bad operation", "queue_update", queueQ, "", `[{"op": "test", "path": "/metadata/colour", "value": 1}]`, titleBody,
		"Invalid operation: `test`. It must be one of the following: add, remove, replace."},
	{"patch, too large", "queue_update", queueQ, "", `["` + strings.Repeat("x", 65536) + `"]`, titleBody, "Queue metadata is too large. Max size: 65536"},

	{"share", "queue_share", queueQ, "", `{"paths": ["messages", "claims"], "methods": ["HEAD"]}`, "", ""},
	{"share, defaults", "queue_share", queueQ, "", `{}`, "", ""},
	{"share, bad path", "queue_share", queueQ, "", `{"paths": ["nope"]}`, titleAPI, "Invalid paths: {'nope'}"},
	{"share, unknown key", "topic_share", topicT, "", `{"path": ["messages"]}`, titleAPI, "Unknown keys: {'path'}"},
	{"share, paths no list", "queue_share", queueQ, "", `{"paths": "messages"}`, titleAPI, "`paths` must be a non-empty list"},

	{"post", "message_post", queueQ, "", `{"messages": [{"body": {"event": 1}, "ttl": 300}, {"body": 3, "delay": 60}]}`, "", ""},
	{"post to a topic", "message_post", topicT, "", `{"messages": [{"body": 1}]}`, "", ""},
	{"post, ttl a string", "message_post", queueQ, "", `{"messages": [{"body": 1, "ttl": "60"}]}`, titleBody, intTTL},
	{"post, ttl too small", "message_post", queueQ, "", `{"messages": [{"body": 1, "ttl": 59}]}`, titleAPI,
		"The TTL for a message may not exceed 1209600 seconds, and must be at least 60 seconds long."},
	{"post, no body field", "message_post", queueQ, "", `{"messages": [{"ttl": 60}]}`, titleBody, `Missing "body" field.`},
	{"post, empty list", "message_post", queueQ, "", `{"messages": []}`, titleAPI, "No messages to enqueu."},
	{"post, bare list", "message_post", queueQ, "", `[{"body": 1}]`, titleAPI, "No messages were found in the request body."},
	{"post, no messages", "message_post", queueQ, "", `{}`, titleAPI, "No messages were found in the request body."},
	{"post, messages no list", "message_post", queueQ, "", `{"messages": {}}`, titleBody, "Document type not supported."},
	{"post, bad JSON", "message_post", queueQ, "", `{`, titleBody, bodyBroken},
	{"post, no body", "message_post", queueQ, "", ``, titleBody, bodyBroken},
	{"post, a number", "message_post", queueQ, "", `1`, titleBody, bodyBroken},
	{"post, integer too large in a body", "message_post", queueQ, "", `{"messages": [{"body": 18446744073709551615}]}`, titleBody,
		"JSON contains integer that is too large."},

	{"list", "message_list", queueQ, "echo=true&limit=2&include_claimed=on&wait=60&marker=x", "", "", ""},
	{"list, limit", "message_list", queueQ, "limit=21", "", titleAPI, limit20},
	{"list, wait", "message_list", queueQ, "wait=61", "", titleAPI, "The wait of a request may not exceed 60 seconds, and must be at least 0 seconds long."},
	{"get many, 21", "message_get_many", queueQ, "ids=" + strings.Repeat("a,", 21), "", titleAPI, limit20},
	{"get many, 20", "message_get_many", queueQ, "ids=" + strings.Repeat("a,", 20), "", "", ""},
	{"delete many, neither ids nor pop", "message_delete_many", queueQ, "", "", titleAPI,
		`The request should have either "ids" or "pop" parameter in the request, to be able to delete.`},
	{"delete many, both", "message_delete_many", queueQ, "ids=a&pop=1", "", titleAPI, "pop and id params cannot be present together in the delete request."},
	{"pop, too many", "message_delete_many", queueQ, "pop=21", "", titleAPI, "Pop value must be at least 1 and may not be greater than 20."},
	{"pop, no number", "message_delete_many", queueQ, "pop=x", "", titleParameter, `The "pop" parameter is invalid. The value must be an integer.`},

	{"claim", "claim_create", queueQ, "limit=2&wait=5", `{"ttl": 100, "grace": 60}`, "", ""},
	{"claim, no body", "claim_create", queueQ, "", "", "", ""},
	{"claim, ttl too small", "claim_create", queueQ, "", `{"ttl": 59, "grace": 60}`, titleAPI, claimTTL},
	{"claim, ttl a string", "claim_create", queueQ, "", `{"ttl": "60", "grace": 60}`, titleBody, intTTL},
	{"claim, limit", "claim_create", queueQ, "limit=21", `{"ttl": 60, "grace": 60}`, titleAPI, limit20},
	{"claim, limit in the body is nothing", "claim_create", queueQ, "", `{"limit": 21}`, "", ""},
	{"claim, a list", "claim_create", queueQ, "", `[]`, titleBody, "Document type not supported."},
	{"renewal", "claim_update", queueQ, "", `{"ttl": 59}`, titleAPI, claimTTL},
	{"renewal, grace", "claim_update", queueQ, "", `{"grace": "1"}`, titleBody, `The value of the "grace" field must be a int.`},
	{"renewal, no body", "claim_update", queueQ, "", ``, titleBody, bodyBroken},

	{"purge", "queue_purge", queueQ, "", `{"resource_types": ["messages"]}`, "", ""},
	{"purge, no body", "queue_purge", queueQ, "", ``, "", ""},
	{"purge, nothing", "queue_purge", queueQ, "", `{}`, titleAPI, `Post body must contain key "resource_types".`},
	{"purge, bad type", "queue_purge", queueQ, "", `{"resource_types": ["nope"]}`, titleAPI, "Resource types must be a sub set of {'subscriptions', 'messages'}."},

	{"subscribe", "subscription_create", queueQ, "", `{"subscriber": "http://x", "options": null}`, "", ""},
	{"subscribe, no subscriber", "subscription_create", queueQ, "", `{"ttl": 600}`, titleAPI, "Missing parameter subscriber in body."},
	{"subscribe, no body", "subscription_create", queueQ, "", ``, titleAPI, "Missing parameter subscriber in body."},
	{"subscribe, empty", "subscription_create", queueQ, "", `{"subscriber": ""}`, titleAPI, "Missing parameter subscriber in body."},
	{"subscribe, scheme", "subscription_create", queueQ, "", `{"subscriber": "gopher://x"}`, titleAPI,
		"The subscriber type of subscription must be supported in the list ['http', 'https', 'mailto']."},
	{"subscribe, ttl too small", "subscription_create", queueQ, "", `{"subscriber": "http://x", "ttl": 10}`, titleAPI,
		"The TTL for a subscription must be at least 60 seconds long."},
	{"subscribe, ttl a string", "subscription_create", queueQ, "", `{"subscriber": "http://x", "ttl": "60"}`, titleAPI, "TTL must be an integer."},
	{"subscribe, options", "subscription_create", queueQ, "", `{"subscriber": "http://x", "options": "1"}`, titleAPI, "Options must be a dict."},
	{"subscription, bad", "subscription_update", queueQ, "", `{"ttl": 10}`, titleAPI, "The TTL for a subscription must be at least 60 seconds long."},
	{"subscription, nulls", "subscription_update", queueQ, "", `{"ttl": 700, "subscriber": null, "options": null}`, "", ""},
	{"subscription, only nulls", "subscription_update", queueQ, "", `{"subscriber": null}`, titleAPI, "One of subscriber, ttl or options needs to be specified."},
	{"subscription, nothing", "subscription_update", queueQ, "", ``, titleAPI, "One of subscriber, ttl or options needs to be specified."},
	{"confirm", "subscription_confirm", queueQ, "", `{"confirmed": false}`, "", ""},
	{"confirm, bad", "subscription_confirm", queueQ, "", `{"confirmed": "x"}`, titleAPI, "The 'confirmed' should be boolean."},
	{"confirm, nothing", "subscription_confirm", queueQ, "", `{}`, titleAPI, "The 'confirmed' should be boolean."},
	{"resend", "dead_delivery_resend", queueQ, "", `{"delivery_ids": ["7"]}`, "", ""},
	{"resend, no id", "dead_delivery_resend", queueQ, "", `{"delivery_ids": ["x"]}`, titleAPI, `"x" is not the id of a dead delivery.`},
	{"forget by ids", "dead_delivery_delete", queueQ, "ids=7,8", ``, "", ""},
	{"forget, too many", "dead_delivery_delete", queueQ, "ids=" + strings.Repeat("7,", 21), ``, titleAPI, "delivery_ids should have at least 1 and not greater than 20 values."},

	{"pool", "pool_create", poolP, "", `{"weight": 100, "uri": "postgres://x", "options": {"a": 1}, "flavor": ""}`, "", ""},
	{"pool, bad weight", "pool_create", poolP, "", `{"weight": "x", "uri": "u"}`, titleBody, "'x' is not of type 'integer'"},
	{"pool, weight true", "pool_create", poolP, "", `{"weight": true, "uri": "u"}`, titleBody, "True is not of type 'integer'"},
	{"pool, weight missing", "pool_create", poolP, "", `{"uri": "u"}`, titleBody, "'weight' is a required property"},
	{"pool, weight too large", "pool_create", poolP, "", `{"uri": "u", "weight": 4294967296}`, titleBody, "4294967296 is greater than the maximum of 4294967295"},
	{"pool, weight negative", "pool_update", poolP, "", `{"weight": -1}`, titleBody, "-1 is less than the minimum of 0"},
	{"pool, URI too long", "pool_create", poolP, "", `{"weight": 1, "uri": "` + strings.Repeat("u", 256) + `"}`, titleBody, "uri is longer than 255 characters"},
	{"pool, unknown key", "pool_create", poolP, "", `{"weight": 1, "uri": "u", "x": 1}`, titleBody, "Additional properties are not allowed ('x' was unexpected)"},
	{"pool, options", "pool_create", poolP, "", `{"weight": 1, "uri": "u", "options": [1]}`, titleBody, "[1] is not of type 'object'"},
	{"pool, bad JSON", "pool_create", poolP, "", `{`, titleBody, "JSON could not be parsed."},
	{"pool, name", "pool_get", PathValues{PoolName: "a b"}, "", ``, titleBody, "Pool names may only contain ASCII letters, digits, underscores, and dashes."},
	{"pool, the default one", "pool_get", PathValues{PoolName: "default"}, "", ``, "", ""},
	{"pool, listen", "pool_create", poolP, "", `{"weight": 1, "uri": "u", "options": {"listen": "postgres://x"}}`, "", ""},
	{"pool, listen a number", "pool_create", poolP, "", `{"weight": 1, "uri": "u", "options": {"listen": 1}}`, titleBody, "options.listen is not of type 'string'"},
	{"pool, listen null", "pool_update", poolP, "", `{"options": {"listen": null}}`, titleBody, "options.listen is not of type 'string'"},
	{"pool, listen with NUL", "pool_update", poolP, "", `{"options": {"listen": "\u0000"}}`, titleBody, `The value of the "options.listen" field must not contain NUL characters.`},
	{"pool, listen too long", "pool_update", poolP, "", `{"options": {"listen": "` + strings.Repeat("u", 256) + `"}}`, titleBody, "options.listen is longer than 255 characters"},
	{"pool, nothing known", "pool_update", poolP, "", `{"x": 60}`, titleBody, "One of `uri`, `weight`, `flavor`, or `options` needs to be specified"},
	{"pools, limit", "pool_list", PathValues{}, "limit=21", "", titleAPI, limit20List},
	{"flavor", "flavor_create", flavor, "", `{"pool_list": ["p1"], "capabilities": {}}`, "", ""},
	{"flavor, no pools", "flavor_create", flavor, "", `{}`, titleBody, "'pool_list' is a required property"},
	{"flavor, empty", "flavor_create", flavor, "", `{"pool_list": []}`, titleCreate, "A flavor needs at least one pool."},
	{"flavor, a text", "flavor_update", flavor, "", `{"pool_list": "p1"}`, titleBody, "'p1' is not of type 'array'"},
	{"flavor, a number", "flavor_create", flavor, "", `{"pool_list": ["p1", 1 ]}`, titleBody, "1 is not of type 'string'"},
	{"flavor, a list", "flavor_update", flavor, "", `{"pool_list": [ ["p1"]]}`, titleBody, `["p1"] is not of type 'string'`},
	{"flavor, null", "flavor_update", flavor, "", `{"pool_list": [null]}`, titleBody, "None is not of type 'string'"},
	{"flavor, the default pool", "flavor_create", flavor, "", `{"pool_list": ["default"]}`, titleBody, "The pool default cannot be of a flavor."},
	{"flavor, nothing", "flavor_update", flavor, "", `{"x": 1}`, titleBody, "`pool_list` needs to be specified"},
}

// The default pool can be looked at and not be changed.
func TestDefaultPoolIsFixed(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	for action, want := range map[string]string{
		"pool_create": "It cannot be replaced.",
		"pool_update": "It cannot be changed here; its weight is the setting default-pool-weight.",
		"pool_delete": "It cannot be deleted.",
	} {
		var req Request
		c := restCase{path: PathValues{PoolName: DefaultPool}}
		if action != "pool_delete" {
			c.body = `{"weight": 1, "uri": "u"}`
		}
		err := DecodeREST(ActionByName(action), restInput(&c), &lim, &req)
		if err == nil {
			t.Errorf("%s was accepted", action)
			continue
		}
		if _, text := err.REST(); err.Status != 403 || text != "The pool default is the gateway's own database. "+want {
			t.Errorf("%s: %d %q", action, err.Status, text)
		}
	}
}

func restInput(c *restCase) *RESTInput {
	query, err := url.ParseQuery(c.query)
	if err != nil {
		panic(err)
	}
	return &RESTInput{
		ClientID: testClient, HasClientID: true, ProjectID: "p", HasProjectID: true,
		Path: c.path, Query: query, Body: []byte(c.body),
	}
}

func TestDecodeREST(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	for _, c := range restCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var req Request
			err := DecodeREST(ActionByName(c.action), restInput(&c), &lim, &req)
			if err == nil {
				if c.title != "" {
					t.Fatal("accepted")
				}
				return
			}
			title, text := err.REST()
			if err.Status != 400 || title != c.title || text != c.text {
				t.Errorf("%d %q: %q", err.Status, title, text)
			}
		})
	}
}

func TestDecodeRESTHeaders(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	for name, test := range map[string]struct {
		change func(*RESTInput)
		want   *Error
	}{
		"no client":        {func(in *RESTInput) { in.HasClientID = false }, errNoClientID},
		"client no UUID":   {func(in *RESTInput) { in.ClientID = "textid" }, errClientIDFormat},
		"no project":       {func(in *RESTInput) { in.HasProjectID = false }, errNoProjectID},
		"empty project":    {func(in *RESTInput) { in.ProjectID = "" }, errEmptyProjectID},
		"long project":     {func(in *RESTInput) { in.ProjectID = strings.Repeat("p", 257) }, nil},
		"nothing is amiss": {func(*RESTInput) {}, nil},
	} {
		in := restInput(&restCase{})
		test.change(in)
		var req Request
		if err := DecodeREST(ActionByName("queue_list"), in, &lim, &req); err != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := restInput(&restCase{path: queueQ})
	in.ProjectID = strings.Repeat("p", 257)
	var req Request
	err := DecodeREST(ActionByName("queue_create"), in, &lim, &req)
	if title, text := err.REST(); title != titleName || text != textIdentification("queue") {
		t.Errorf("long project with a queue: %q %q", title, text)
	}
}

// What REST reads is what a frame would say.
func TestDecodeRESTFields(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	read := func(c restCase) *Request {
		t.Helper()
		req := new(Request)
		in := restInput(&c)
		in.Roles = "member, admin"
		if err := DecodeREST(ActionByName(c.action), in, &lim, req); err != nil {
			t.Fatalf("%s: %v", c.action, err)
		}
		return req
	}
	const post = `{"messages": [{"body": {"a": 1}}, {"body": "b", "ttl": 60}]}`
	r := read(restCase{action: "message_post", path: topicT, body: post})
	if key := r.Queue(); key != (QueueKey{"p", "topic:t"}) || !key.IsTopic() || key.ShownName() != "t" {
		t.Errorf("topic: %v", key)
	}
	if m := r.Fields.Messages; len(m) != 2 || string(m[0].Body) != `{"a": 1}` || m[0].TTL != -1 || m[1].TTL != 60 {
		t.Errorf("messages: %+v", m)
	}
	if r.MessagesSize() != len(post) || !r.IsAdmin() || r.ClientUUID.String() != testClient {
		t.Errorf("%d bytes, admin %v, client %v", r.MessagesSize(), r.IsAdmin(), r.ClientUUID)
	}
	r = read(restCase{action: "queue_list", query: "colour=red&size=5&flag=true&empty=&name=wo&limit=3"})
	if f := r.Fields; len(f.MetadataFilter) != 3 || f.MetadataFilter["size"] != "5" || f.MetadataFilter["flag"] != "true" ||
		f.Name != "wo" || f.Limit != 3 {
		t.Errorf("filter: %+v", f)
	}
	r = read(restCase{action: "message_delete_many", path: queueQ, query: "ids=a,,b&ids=c&claim_ids=x"})
	if f := r.Fields; !slices.Equal(f.MessageIDs, []string{"a", "b", "c"}) || !slices.Equal(f.ClaimIDs, []string{"x"}) {
		t.Errorf("ids: %+v", f)
	}
	r = read(restCase{action: "claim_create", path: queueQ, query: "wait=7"})
	if f := r.Fields; f.TTL != 300 || f.Grace != 60 || f.Limit != 10 || f.Wait != 7 {
		t.Errorf("claim: %+v", f)
	}
	r = read(restCase{action: "subscription_create", path: queueQ, body: `{"subscriber": "mailto:a@b", "options": {"x": [1]}}`})
	if f := r.Fields; f.TTL != 3600 || f.Subscriber != "mailto:a@b" || string(f.Options) != `{"x": [1]}` {
		t.Errorf("subscription: %+v", f)
	}
	r = read(restCase{action: "queue_create", path: queueQ, body: ` {"a":1} `})
	if string(r.Fields.Metadata) != `{"a":1}` {
		t.Errorf("metadata: %s", r.Fields.Metadata)
	}
	r = read(restCase{action: "pool_update", path: poolP, body: `{"flavor": "", "x": 1}`})
	if f := r.Fields; f.PoolName != "p2" || f.Set != FieldPoolName|FieldFlavor {
		t.Errorf("pool: %+v", f)
	}
}
