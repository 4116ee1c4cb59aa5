package gateway

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/nusku-messaging/nusku/gateway/auth"
	"github.com/nusku-messaging/nusku/protocol"
)

// A request may carry a signed URL: the headers URL-Signature, URL-Expires, URL-Methods and URL-Paths beside
// X-Project-ID, in a frame as over HTTP. It is then good for what that names, and for nothing else: also while
// authentication is off a signature that is given has to be right, and restricts.

// errUncovered says that a signed URL is good, but for something else.
var errUncovered = errors.New("the signed URL is for something else")

// authorize says whether a request for method on path, in project, may go on as far as its signature is concerned. The
// time of expiry is judged by this gateway's clock. Safe for concurrent use.
func (g *Gateway) authorize(s *protocol.Signature, project, method, path string) bool {
	if s.Signature == "" {
		return true
	}
	u, err := auth.Verify(g.cfg.Links.key(), auth.Presented{
		Signature: s.Signature, Expires: s.Expires, Project: project,
		Paths: strings.Split(s.Paths, ","), Methods: strings.Split(s.Methods, ","),
	}, time.Now())
	if err == nil && !u.Allows(method, path) {
		err = errUncovered
	}
	if err != nil {
		g.log.Debug().Err(err).Str("method", method).Str("path", path).Msg("signed URL refused")
		return false
	}
	return true
}

// checkSignature answers 404 to a request whose signed URL is not good for it, as if there were nothing, like Zaqar.
func (x *exchange) checkSignature(in *protocol.RESTInput, _ *resource) bool {
	if x.gw.authorize(&in.Signature, in.ProjectID, x.r.Method, x.path()) {
		return true
	}
	x.notFound()
	return false
}

// authorizeFrame returns what a frame is answered whose signed URL is not good for it; nil if it is, or if there is none.
// What counts is the REST resource that the action stands for. Zaqar checks the method only, and only for actions on
// messages; here the queue counts, too, and claims and subscriptions can be shared as well.
func (g *Gateway) authorizeFrame(req *protocol.Request) *protocol.Error {
	if req.Signature.Signature == "" {
		return nil
	}
	if method, path, ok := resourceOf(req); ok && g.authorize(&req.Signature, req.ProjectID, method, path) {
		return nil
	}
	return protocol.ErrorNotAuthenticated()
}

// resourceOf returns the method and the path by which REST has what a frame asks for.
func resourceOf(req *protocol.Request) (method, path string, ok bool) {
	topic := req.Queue().IsTopic()
	for i := range routes {
		row := &routes[i]
		if req.Action == nil || row.Action != req.Action.Name || topic != strings.Contains(row.Pattern, "{topic_name}") {
			continue
		}
		return row.Method, fillPattern(row.Pattern, &req.Fields), true
	}
	return "", "", false
}

// fillPattern puts a frame's fields into the variables of a route's pattern. A variable that the frame leaves empty makes
// a path that no signed URL is good for.
func fillPattern(pattern string, f *protocol.Fields) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		switch part {
		case "{queue_name}":
			parts[i] = url.PathEscape(f.QueueName)
		case "{topic_name}":
			parts[i] = url.PathEscape(f.TopicName)
		case "{message_id}":
			parts[i] = url.PathEscape(f.MessageID)
		case "{claim_id}":
			parts[i] = url.PathEscape(f.ClaimID)
		case "{subscription_id}":
			parts[i] = url.PathEscape(f.SubscriptionID)
		}
	}
	return strings.Join(parts, "/")
}
