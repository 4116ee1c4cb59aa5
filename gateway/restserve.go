package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// requestIDHeader names each request to its client and in the log, as OpenStack's services do.
const requestIDHeader = "X-OpenStack-Request-Id"

// isREST says whether a request is for the resources: what begins like one is answered like one, found or not. The root
// is the document of versions for all but browsers, which get the web page.
func (g *Gateway) isREST(r *http.Request) bool {
	switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
	case "v1", "v1.1", "v2":
		return true
	case "":
		return r.URL.Path == "/" && (g.cfg.Fallback == nil || !strings.Contains(r.Header.Get("Accept"), "text/html"))
	}
	return false
}

// serveREST answers a request to the resources.
func (g *Gateway) serveREST(w http.ResponseWriter, r *http.Request) {
	x := &exchange{gw: g, r: r, w: w, headers: w.Header(), body: new(protocol.Writer)}
	x.headers[requestIDHeader] = []string{"req-" + uuid.NewString()}
	in := new(protocol.RESTInput)
	if !x.admit(in) {
		x.respond()
		return
	}
	if x.route.Stream {
		x.stream(in)
		return
	}
	frame, ok := x.readBody()
	if !ok {
		x.respond()
		return
	}
	in.Body = frame.b
	x.carry(in, frame)
}

// admit answers what needs no action, and says whether the request asks for one: in then has everything but the body.
// The checks come in Zaqar's order.
func (x *exchange) admit(in *protocol.RESTInput) bool {
	at, values := resources.find(x.path())
	switch {
	case !x.allowOrigin(at):
		return false
	case at == nil:
		x.notFound()
		return false
	case x.r.Method == http.MethodOptions:
		x.headers["Allow"] = []string{at.allow}
		x.empty(http.StatusOK)
		return false
	}
	var err error
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		x.refuse(http.StatusBadRequest, "Invalid parameter", "The query could not be parsed.")
		return false
	}
	x.route = at.row(x.r.Method, x.query)
	x.readInput(in, at, values)
	for _, check := range []func(*exchange, *protocol.RESTInput, *resource) bool{
		(*exchange).checkSignature, (*exchange).checkMedia, (*exchange).checkAccept, (*exchange).checkHeaders,
		(*exchange).checkMethod, (*exchange).checkRole, (*exchange).checkPatchType,
	} {
		if !check(x, in, at) {
			return false
		}
	}
	if x.route.Action == "" {
		x.versions()
		return false
	}
	return true
}

// readInput notes what the request says besides its body.
func (x *exchange) readInput(in *protocol.RESTInput, at *resource, values []string) {
	h := x.r.Header
	_, hasClient := h["Client-Id"]
	_, hasProject := h["X-Project-Id"]
	*in = protocol.RESTInput{
		ClientID: h.Get("Client-ID"), HasClientID: hasClient,
		ProjectID: h.Get("X-Project-ID"), HasProjectID: hasProject,
		Roles: h.Get("X-Roles"), Query: x.query, ContentType: h.Get("Content-Type"),
		Signature: protocol.Signature{
			Signature: h.Get("URL-Signature"), Expires: h.Get("URL-Expires"),
			Methods: h.Get("URL-Methods"), Paths: h.Get("URL-Paths"),
		},
	}
	if x.route != nil && x.route.Stream {
		x.readIdentity(in)
	}
	if x.route != nil {
		for key, value := range x.route.fixed {
			in.Query[key] = value
		}
	}
	i := 0
	for part := range strings.SplitSeq(at.rows[0].Pattern, "/") {
		if strings.HasPrefix(part, "{") {
			*pathValues[strings.Trim(part, "{}")](&in.Path) = values[i]
			i++
		}
	}
}

// readIdentity takes from the query who asks where the header does not say it.
func (x *exchange) readIdentity(in *protocol.RESTInput) {
	if !in.HasClientID {
		in.ClientID, in.HasClientID = x.query.Get("client_id"), x.query.Has("client_id")
	}
	if !in.HasProjectID {
		in.ProjectID, in.HasProjectID = x.query.Get("project_id"), x.query.Has("project_id")
	}
}

// pathValues says where the value of a path's variable goes.
var pathValues = map[string]func(*protocol.PathValues) *string{
	"queue_name":      func(p *protocol.PathValues) *string { return &p.QueueName },
	"topic_name":      func(p *protocol.PathValues) *string { return &p.TopicName },
	"message_id":      func(p *protocol.PathValues) *string { return &p.MessageID },
	"claim_id":        func(p *protocol.PathValues) *string { return &p.ClaimID },
	"subscription_id": func(p *protocol.PathValues) *string { return &p.SubscriptionID },
	"pool_name":       func(p *protocol.PathValues) *string { return &p.PoolName },
	"flavor_name":     func(p *protocol.PathValues) *string { return &p.FlavorName },
}
