package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// exchange is one HTTP request on its way to its response. Answers write their response into it; it goes out once the
// call is answered, so nothing here blocks. An exchange belongs to one goroutine at a time: the request's own until its
// call begins, then whoever answers that, then the request's own again.
type exchange struct {
	gw *Gateway
	// c is the call that the request became.
	c *call
	w http.ResponseWriter
	r *http.Request
	// route is the row that the request matched, query its parameters.
	route *Route
	query url.Values

	// status, headers and body are the response. The writer is the call's once there is one, so that its memory is used
	// again. own are the keys of the headers that the answer has set.
	status  int
	headers http.Header
	body    *protocol.Writer
	own     []string
	// unsent, if it is set, undoes what the client has not been told of: the response could not be sent.
	unsent func(*Gateway, *call)

	// client is whom the request's place is counted for, parked whether that is one among those that wait.
	client *restClient
	parked bool
	// held is the memory that the exchange counts for.
	held int
	// done is told when the call is answered.
	done chan struct{}
}

// prefix begins the path of every resource.
const prefix = "/v2/"

// path is the request's path, as the client sent it, without the query.
func (x *exchange) path() string { return x.r.URL.EscapedPath() }

// href is the path of the resource that parts lead to: href("queues", name, "messages", id).
func (x *exchange) href(parts ...string) string {
	var b strings.Builder
	for i, part := range parts {
		if i == 0 {
			b.WriteString(prefix)
		} else {
			b.WriteByte('/')
		}
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}

// queueHref is the path of what is below the request's queue or topic: queueHref("claims", id).
func (x *exchange) queueHref(parts ...string) string {
	key, collection := x.c.queue(), "queues"
	if key.IsTopic() {
		collection = "topics"
	}
	return x.href(append([]string{collection, key.ShownName()}, parts...)...)
}

// next is the path of the page that follows the one that ends at marker: the request's own query with that marker, the
// parameters in the order in which Zaqar has them.
func (x *exchange) next(marker string) string {
	var b strings.Builder
	b.WriteString(x.path())
	separator := byte('?')
	add := func(key, value string) {
		b.WriteByte(separator)
		separator = '&'
		b.WriteString(url.QueryEscape(key))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(value))
	}
	marked := false
	for _, key := range x.route.page {
		switch {
		case key == markerAlways || key == markerHere && x.query.Get(key) != "":
			if !marked {
				add("marker", marker)
			}
			marked = true
		case key == others:
			for _, name := range x.unnamed() {
				add(name, x.query.Get(name))
			}
		case x.query.Get(key) != "":
			add(key, parameterText(key, x.query.Get(key)))
		}
	}
	return b.String()
}

// unnamed are the request's parameters that its route does not name, sorted.
func (x *exchange) unnamed() []string {
	var names []string
	for name := range x.query {
		if !slices.Contains(x.route.page, name) && x.query.Get(name) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// parameterText is the value of a parameter as a link has it: flags come in several spellings.
func parameterText(key, value string) string {
	switch key {
	case "detailed", "with_count", "echo", "include_claimed", "include_delayed":
		return strconv.FormatBool(!slices.Contains(flagsOff, strings.ToLower(value)))
	}
	return value
}

// flagsOff are the spellings of a flag that is not set; what is no flag at all was refused before.
var flagsOff = []string{"false", "f", "no", "n", "0", "off"}

// links writes the member "links" of a list: the next page, or nothing when marker is "", for the list is empty.
func (x *exchange) links(w *protocol.Writer, marker string) {
	w.Key("links")
	if marker == "" {
		w.BeginArray(0)
		w.EndArray()
		return
	}
	w.BeginArray(1)
	w.BeginMap(2)
	w.Key("rel")
	w.String("next")
	w.Key("href")
	w.String(x.next(marker))
	w.EndMap()
	w.EndArray()
}

// header sets a header of the response.
func (x *exchange) header(key, value string) {
	x.headers.Set(key, value)
	x.own = append(x.own, http.CanonicalHeaderKey(key))
}

// empty answers without a body.
func (x *exchange) empty(status int) { x.status = status }

// json answers with the JSON document that body writes. body is called before json returns.
func (x *exchange) json(status int, body func(*protocol.Writer)) {
	x.status = status
	x.body.Reset(protocol.JSON, x.body.Buf[:0])
	body(x.body)
}

// fault answers with an error.
func (x *exchange) fault(e *protocol.Error) {
	title, description := e.REST()
	x.tell(e, title, description)
	if e.RetryAfter > 0 {
		x.header("Retry-After", strconv.FormatInt(e.RetrySeconds(), 10))
	}
}

// refuse answers with an error's title and description, of which the latter may be "".
func (x *exchange) refuse(status int, title, description string) {
	x.tell(&protocol.Error{Status: status}, title, description)
}

// tell writes the body of an error.
func (x *exchange) tell(e *protocol.Error, title, description string) {
	x.json(e.Status, func(w *protocol.Writer) {
		w.BeginMap(1 + countIf(description != "") + e.Hints())
		w.Key("title")
		w.String(title)
		if description != "" {
			w.Key("description")
			w.String(description)
		}
		e.WriteHints(w)
		w.EndMap()
	})
	x.vary("Accept")
}

// vary says that the response depends on a header of the request.
func (x *exchange) vary(header string) {
	if !slices.Contains(x.headers["Vary"], header) {
		x.headers.Add("Vary", header)
	}
}

// restart forgets the answer that was made so far.
func (x *exchange) restart() {
	for _, key := range x.own {
		delete(x.headers, key)
	}
	x.own, x.unsent = nil, nil
	x.body.Reset(protocol.JSON, x.body.Buf[:0])
}
