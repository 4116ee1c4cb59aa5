package gateway

import (
	"net/url"
	"slices"
	"strings"
)

// Route is one row of the route table: a method on a path, and the action that it asks for.
type Route struct {
	// Method is the HTTP method. HEAD works wherever GET does and is listed only where Zaqar lists it.
	Method string
	// Pattern is the path, with variables in braces.
	Pattern string
	// Action is the action that is asked for; "" for the document of versions.
	Action string
	// Param is the query parameter that has to be there for this row to count; "" for none.
	Param string
	// Status is the status of the answer when all is well.
	Status int
	// MediaType is the media type of the request's body; "" is application/json.
	MediaType string
	// Stream says that the answer is an event stream of what the action lists, as it comes. Browsers can set no header for
	// it: who asks may be in the query, as client_id and project_id.
	Stream bool

	// page has the query parameters of a list in the order in which its next link has them. The marker stands at
	// markerHere if the request has one, else at markerAlways; others stands for all that are not named.
	page []string
	// fixed are query parameters that the method stands for.
	fixed url.Values
}

// Where a next link has its marker, and what is not named.
const (
	markerHere   = "marker"
	markerAlways = "+marker"
	others       = "*"
)

// patchType is the media type of a queue's changes.
const patchType = "application/openstack-messaging-v2.0-json-patch"

// The pages of lists.
var (
	queuesPage   = []string{markerHere, "limit", "detailed", "name", "with_count", others, markerAlways}
	messagesPage = []string{markerHere, "limit", "echo", "include_claimed", "include_delayed", markerAlways}
	plainPage    = []string{markerHere, "limit", markerAlways}
	poolsPage    = []string{markerHere, "limit", "detailed", markerAlways}
	flavorsPage  = []string{markerHere, "limit", markerAlways, "detailed"}
)

// routes is the route table. One row makes an endpoint: its action says what it takes and does, and the methods of a
// path, what is not allowed on it and what pages of other sites may ask for follow from it.
var routes = slices.Concat(
	[]Route{
		{Method: "GET", Pattern: "/", Status: 300},
		{Method: "GET", Pattern: "/v2/", Action: "get_home_doc", Status: 200},
		{Method: "GET", Pattern: "/v2/ping", Action: "ping_node", Status: 204},
		{Method: "HEAD", Pattern: "/v2/ping", Action: "ping_node", Status: 204},
		{Method: "GET", Pattern: "/v2/health", Action: "check_node_health", Status: 200},

		{Method: "GET", Pattern: "/v2/queues", Action: "queue_list", Status: 200, page: queuesPage},
		{Method: "PUT", Pattern: "/v2/queues/{queue_name}", Action: "queue_create", Status: 201},
		{Method: "GET", Pattern: "/v2/queues/{queue_name}", Action: "queue_get", Status: 200},
		{Method: "PATCH", Pattern: "/v2/queues/{queue_name}", Action: "queue_update", Status: 200, MediaType: patchType},
		{Method: "DELETE", Pattern: "/v2/queues/{queue_name}", Action: "queue_delete", Status: 204},
		{Method: "GET", Pattern: "/v2/queues/{queue_name}/stats", Action: "queue_get_stats", Status: 200},
		{Method: "POST", Pattern: "/v2/queues/{queue_name}/purge", Action: "queue_purge", Status: 204},
		{Method: "POST", Pattern: "/v2/queues/{queue_name}/share", Action: "queue_share", Status: 200},
		{Method: "POST", Pattern: "/v2/queues/{queue_name}/claims", Action: "claim_create", Status: 201},
		{Method: "GET", Pattern: "/v2/queues/{queue_name}/claims/{claim_id}", Action: "claim_get", Status: 200},
		{Method: "PATCH", Pattern: "/v2/queues/{queue_name}/claims/{claim_id}", Action: "claim_update", Status: 204},
		{Method: "DELETE", Pattern: "/v2/queues/{queue_name}/claims/{claim_id}", Action: "claim_delete", Status: 204},

		{Method: "GET", Pattern: "/v2/topics", Action: "topic_list", Status: 200, page: queuesPage},
		{Method: "PUT", Pattern: "/v2/topics/{topic_name}", Action: "topic_create", Status: 201},
		{Method: "GET", Pattern: "/v2/topics/{topic_name}", Action: "topic_get", Status: 200},
		{Method: "PATCH", Pattern: "/v2/topics/{topic_name}", Action: "topic_update", Status: 200, MediaType: patchType},
		{Method: "DELETE", Pattern: "/v2/topics/{topic_name}", Action: "topic_delete", Status: 204},
		{Method: "GET", Pattern: "/v2/topics/{topic_name}/stats", Action: "topic_get_stats", Status: 200},
		{Method: "POST", Pattern: "/v2/topics/{topic_name}/purge", Action: "topic_purge", Status: 204},
		{Method: "POST", Pattern: "/v2/topics/{topic_name}/share", Action: "topic_share", Status: 200},
	},
	below("/v2/queues/{queue_name}"),
	below("/v2/topics/{topic_name}"),
	[]Route{
		{Method: "GET", Pattern: "/v2/pools", Action: "pool_list", Status: 200, page: poolsPage},
		{Method: "PUT", Pattern: "/v2/pools/{pool_name}", Action: "pool_create", Status: 201},
		{Method: "GET", Pattern: "/v2/pools/{pool_name}", Action: "pool_get", Status: 200},
		{Method: "PATCH", Pattern: "/v2/pools/{pool_name}", Action: "pool_update", Status: 200},
		{Method: "DELETE", Pattern: "/v2/pools/{pool_name}", Action: "pool_delete", Status: 204},

		{Method: "GET", Pattern: "/v2/flavors", Action: "flavor_list", Status: 200, page: flavorsPage},
		{Method: "PUT", Pattern: "/v2/flavors/{flavor_name}", Action: "flavor_create", Status: 201},
		{Method: "GET", Pattern: "/v2/flavors/{flavor_name}", Action: "flavor_get", Status: 200},
		{Method: "PATCH", Pattern: "/v2/flavors/{flavor_name}", Action: "flavor_update", Status: 200},
		{Method: "DELETE", Pattern: "/v2/flavors/{flavor_name}", Action: "flavor_delete", Status: 204},
	},
)

// below are the routes that queues and topics have alike.
func below(base string) []Route {
	messages, subscriptions := base+"/messages", base+"/subscriptions"
	subscription := subscriptions + "/{subscription_id}"
	dead := subscription + "/dead_deliveries"
	return []Route{
		{Method: "POST", Pattern: messages, Action: "message_post", Status: 201},
		{Method: "GET", Pattern: messages, Action: "message_get_many", Status: 200, Param: "ids"},
		{Method: "GET", Pattern: messages, Action: "message_list", Status: 200, page: messagesPage},
		{Method: "DELETE", Pattern: messages, Action: "message_delete_many", Status: 200, Param: "pop"},
		{Method: "DELETE", Pattern: messages, Action: "message_delete_many", Status: 204},
		{Method: "GET", Pattern: messages + "/stream", Action: "message_list", Status: 200, Stream: true},
		{Method: "GET", Pattern: messages + "/{message_id}", Action: "message_get", Status: 200},
		{Method: "DELETE", Pattern: messages + "/{message_id}", Action: "message_delete", Status: 204},

		{Method: "POST", Pattern: subscriptions, Action: "subscription_create", Status: 201},
		{Method: "GET", Pattern: subscriptions, Action: "subscription_list", Status: 200, page: plainPage},
		{Method: "GET", Pattern: subscription, Action: "subscription_get", Status: 200},
		{Method: "PATCH", Pattern: subscription, Action: "subscription_update", Status: 204},
		{Method: "DELETE", Pattern: subscription, Action: "subscription_delete", Status: 204},
		{Method: "PUT", Pattern: subscription + "/confirm", Action: "subscription_confirm", Status: 204},
		{Method: "GET", Pattern: subscription + "/secret", Action: "subscription_secret", Status: 200},
		{Method: "POST", Pattern: subscription + "/secret", Action: "subscription_secret", Status: 200,
			fixed: url.Values{"rotate": {"true"}}},
		{Method: "GET", Pattern: dead, Action: "dead_delivery_list", Status: 200, page: plainPage},
		{Method: "DELETE", Pattern: dead, Action: "dead_delivery_delete", Status: 204},
		{Method: "POST", Pattern: dead + "/resend", Action: "dead_delivery_resend", Status: 204},
	}
}

// Routes returns the route table. The rows are the caller's.
func Routes() []Route { return slices.Clone(routes) }

// resource is a path of the route table, or a part of one: the table as a tree, a level for each part of the path.
type resource struct {
	// parts lead on by the part's text, variable by any text.
	parts    map[string]*resource
	variable *resource
	// rows are the path's methods, in the order of the table.
	rows []*Route
	// allow are the methods as the header Allow lists them.
	allow string
}

// resources is the tree of the route table.
var resources = planResources()

func planResources() *resource {
	root := new(resource)
	for i := range routes {
		row := &routes[i]
		at := root
		for part := range strings.SplitSeq(row.Pattern[1:], "/") {
			at = at.child(part)
		}
		at.rows = append(at.rows, row)
		at.allow = allowed(at.rows)
	}
	return root
}

// child returns the resource that part leads to, which is made if it is missing.
func (n *resource) child(part string) *resource {
	if strings.HasPrefix(part, "{") {
		if n.variable == nil {
			n.variable = new(resource)
		}
		return n.variable
	}
	if n.parts == nil {
		n.parts = make(map[string]*resource)
	}
	if n.parts[part] == nil {
		n.parts[part] = new(resource)
	}
	return n.parts[part]
}

// allowed lists the methods of rows: by name, and then OPTIONS, as Zaqar does.
func allowed(rows []*Route) string {
	var methods []string
	for _, row := range rows {
		methods = append(methods, row.Method)
	}
	slices.Sort(methods)
	return strings.Join(append(slices.Compact(methods), "OPTIONS"), ", ")
}

// find returns the resource at an escaped path and the values of the path's variables, in order; nil if there is none.
// Nothing is cleaned up: a path with an empty or an escaped slash in it is another path.
func (n *resource) find(path string) (*resource, []string) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, nil
	}
	var values []string
	for part := range strings.SplitSeq(rest, "/") {
		next := n.parts[part]
		if next == nil {
			value, err := url.PathUnescape(part)
			if n.variable == nil || err != nil || value == "" {
				return nil, nil
			}
			next = n.variable
			values = append(values, value)
		}
		n = next
	}
	if n.rows == nil {
		return nil, nil
	}
	return n, values
}

// row returns the row for a method and a query; nil if the method is not allowed.
func (n *resource) row(method string, query url.Values) *Route {
	if method == "HEAD" {
		method = "GET"
	}
	for _, row := range n.rows {
		if row.Method == method && (row.Param == "" || query.Get(row.Param) != "") {
			return row
		}
	}
	return nil
}
