package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// A page of any site can open a WebSocket to this gateway, and the browser says whose page it is in Origin. The library
// compares that with Host, but Host is no proof: a site may point its own name to this machine's address (DNS
// rebinding), and then both are that name. So a page also has to use a name that is known to be this gateway's.

// checkOrigin answers 403 and returns false if a browser's page asks for an upgrade under a name that nobody has given
// this gateway. What is no browser sends no Origin.
func (g *Gateway) checkOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || g.originAllowed(origin) || g.ownHost(r) {
		return true
	}
	writeText(w, http.StatusForbidden, "Pages of "+printable(origin)+" may not connect to "+printable(r.Host)+
		": allow them with --allowed-origins.\n")
	return false
}

// ownHost says whether the request names this machine itself, or the address that it listens on.
func (g *Gateway) ownHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	switch host {
	case "localhost", "127.0.0.1", "::1":
		return true
	case "":
		return false
	}
	if strings.EqualFold(host, g.cfg.ListenHost) {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	tcp, _ := local.(*net.TCPAddr)
	ip, err := netip.ParseAddr(host)
	return tcp != nil && err == nil && ip.Unmap() == tcp.AddrPort().Addr().Unmap()
}

// originAllowed says whether AllowedOrigins has a pattern for an origin, as the library understands patterns.
func (g *Gateway) originAllowed(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	for _, pattern := range g.cfg.AllowedOrigins {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target)); ok && err == nil {
			return true
		}
	}
	return false
}

// printable is text that a stranger sent, short and without what a terminal would act on.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), 200)]
}
