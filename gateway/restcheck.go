package gateway

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// The checks of a request's header. Each returns true, or false when it has answered the request.

// notFound answers as if there were nothing.
func (x *exchange) notFound() { x.refuse(http.StatusNotFound, "404 Not Found", "") }

// checkMedia refuses forms. Zaqar does, because curl sends JSON as a form unless it is told otherwise, and then a body
// that nobody reads.
func (x *exchange) checkMedia(in *protocol.RESTInput, _ *resource) bool {
	if x.r.ContentLength == 0 || !strings.EqualFold(strings.TrimSpace(in.ContentType), "application/x-www-form-urlencoded") {
		return true
	}
	x.refuse(http.StatusBadRequest, "Invalid Content-Type", "Endpoint does not accept `application/x-www-form-urlencoded` "+
		"content; currently supported media type is `application/json`; specify proper client-side media type with the "+
		"\"Content-Type\" header.")
	return false
}

// checkAccept refuses who does not take JSON, or a stream. There is no body then that could be understood.
func (x *exchange) checkAccept(*protocol.RESTInput, *resource) bool {
	media := "application/json"
	if x.route != nil && x.route.Stream {
		media = eventStreamType
	}
	if accepts := x.r.Header.Values("Accept"); len(accepts) > 0 && !acceptsMedia(strings.Join(accepts, ","), media) {
		x.vary("Accept")
		x.empty(http.StatusNotAcceptable)
		return false
	}
	return true
}

// acceptsJSON says whether the header Accept has application/json among what it takes.
func acceptsJSON(accept string) bool { return acceptsMedia(accept, "application/json") }

// acceptsMedia says whether the header Accept has a media type among what it takes (RFC 9110, section 12.5.1). The most
// specific range counts.
func acceptsMedia(accept, media string) bool {
	group, _, _ := strings.Cut(media, "/")
	best, accepted := -1, strings.TrimSpace(accept) == ""
	for part := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		specific := -1
		switch name {
		case media:
			specific = 2
		case group + "/*":
			specific = 1
		case "*/*":
			specific = 0
		}
		if specific < best || specific < 0 {
			continue
		}
		weight, err := strconv.ParseFloat(params["q"], 64)
		best, accepted = specific, err != nil || weight > 0
	}
	return accepted
}

// checkHeaders wants a client and a project, of all requests but those for the versions.
func (x *exchange) checkHeaders(in *protocol.RESTInput, at *resource) bool {
	if at.rows[0].Action == "" {
		return true
	}
	if e := in.CheckHeaders(); e != nil {
		x.fault(e)
		return false
	}
	return true
}

// checkMethod refuses methods that the resource does not have.
func (x *exchange) checkMethod(_ *protocol.RESTInput, at *resource) bool {
	if x.route == nil {
		x.headers["Allow"] = []string{at.allow}
		x.refuse(http.StatusMethodNotAllowed, "405 Method Not Allowed", "")
		return false
	}
	return true
}

// checkRole refuses actions of administrators to others.
func (x *exchange) checkRole(in *protocol.RESTInput, _ *resource) bool {
	a := protocol.ActionByName(x.route.Action)
	if a == nil || !a.Admin {
		return true
	}
	if !(&protocol.Request{Roles: in.Roles}).IsAdmin() {
		x.fault(protocol.ErrorNotAdmin())
		return false
	}
	return true
}

// checkPatchType wants the media type of patches where there is one.
func (x *exchange) checkPatchType(in *protocol.RESTInput, _ *resource) bool {
	if x.route.MediaType == "" {
		return true
	}
	media, _, _ := strings.Cut(in.ContentType, ";")
	if strings.EqualFold(strings.TrimSpace(media), x.route.MediaType) {
		return true
	}
	x.header("Accept-Patch", x.route.MediaType)
	x.refuse(http.StatusUnsupportedMediaType,
		"Accepted media type for PATCH: {'Accept-Patch': '"+x.route.MediaType+"'}.", "")
	return false
}
