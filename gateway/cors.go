package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// allowOrigin decides about requests of browsers' pages. Pages of the gateway's own and of allowed origins pass; what is
// no browser sends no Origin. It returns false when it has answered: a stranger's page, or a preflight.
//
// A page of any site may send a request to this machine, and only the answer is withheld from it; so a stranger's page is
// refused before anything is done.
func (x *exchange) allowOrigin(at *resource) bool {
	origin := x.r.Header.Get("Origin")
	cfg := &x.gw.cfg.REST
	switch {
	case origin == "":
		return true
	case cfg.corsAllowed(origin):
	case x.gw.originAllowed(origin) || x.sameOrigin(origin):
		return true
	default:
		x.refuse(http.StatusForbidden, "Origin not allowed",
			"Pages of "+printable(origin)+" may not use these resources: allow them with --cors-origins.")
		return false
	}
	x.vary("Origin")
	x.headers["Access-Control-Allow-Origin"] = []string{origin}
	x.headers["Access-Control-Expose-Headers"] = []string{shownHeaders}
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" || at == nil {
		return true
	}
	x.headers["Access-Control-Allow-Methods"] = []string{at.allow}
	x.headers["Access-Control-Allow-Headers"] = []string{cfg.corsHeaders()}
	x.headers["Access-Control-Max-Age"] = []string{strconv.Itoa(int(cfg.CORSMaxAge.Seconds()))}
	x.empty(http.StatusNoContent)
	return false
}

// sameOrigin says whether the page comes from the gateway itself, under a name that is known to be the gateway's.
func (x *exchange) sameOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, x.r.Host) && x.gw.ownHost(x.r)
}
