package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// metadata answers with a queue's metadata, and with what holds for the reserved attributes that are not set. The
// entity tag names exactly these.
func (x *exchange) metadata(metadata []byte) {
	full := protocol.AppendFullMetadata(nil, metadata, &x.gw.cfg.Limits)
	tag := entityTag(full)
	x.header("ETag", tag)
	if x.r.Method == http.MethodGet || x.r.Method == http.MethodHead {
		if names := x.r.Header.Values("If-None-Match"); len(names) > 0 && matchesTag(names, tag) {
			x.empty(http.StatusNotModified)
			return
		}
	}
	x.json(http.StatusOK, func(w *protocol.Writer) { w.RawJSON(full) })
}

// unexpected says that a queue whose metadata are these is not the one that an HTTP request wants to change (If-Match;
// RFC 9110, section 13.1.1); nil for a call without such a condition.
func (c *call) unexpected(metadata []byte) *protocol.Error {
	if c.http == nil {
		return nil
	}
	names := c.http.r.Header.Values("If-Match")
	if len(names) == 0 || matchesTag(names, entityTag(protocol.AppendFullMetadata(nil, metadata, &c.gw.cfg.Limits))) {
		return nil
	}
	return &protocol.Error{
		Status: http.StatusPreconditionFailed, Kind: protocol.KindAction, Code: "precondition",
		Exception: "The queue's metadata have changed.",
	}
}

// entityTag is the strong tag of a document.
func entityTag(document []byte) string {
	sum := sha256.Sum256(document)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// matchesTag says whether the lists of tags name one that exists: "*" names any. Tags of ours hold no commas, and none
// is weak, so a weak one never matches.
func matchesTag(lists []string, tag string) bool {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "*" || name == tag {
				return true
			}
		}
	}
	return false
}
