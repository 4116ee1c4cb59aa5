package auth

import (
	"slices"
	"strings"
)

// Allows says whether the URL is good for a method on a path, which is an escaped path as in a request line, without the
// query.
//
// A path covers itself and the resources of its collection: /v2/queues/q/messages is also good for
// /v2/queues/q/messages/ID, and /v2/queues/q/subscriptions for /v2/queues/q/subscriptions/ID and its confirmation, as in
// Zaqar. It covers nothing else. (Zaqar searches the path of the request for the signed one as a regular expression, so
// that the URL of a queue named q.a is good for the queue qxa, and for everything that has such a path within its own.)
func (u *URL) Allows(method, path string) bool {
	if !slices.Contains(u.Methods, method) {
		return false
	}
	return slices.ContainsFunc(u.Paths, func(signed string) bool { return covers(signed, path) })
}

// below are the resources of an item that go with it; further ones (a webhook's secrets, what could not be delivered)
// are for the owner alone.
var below = []string{"confirm"}

// covers says whether the signed path is good for path.
func covers(signed, path string) bool {
	rest, ok := strings.CutPrefix(path, signed)
	if !ok {
		return false
	}
	if rest == "" {
		return true
	}
	item, ok := strings.CutPrefix(rest, "/")
	if !ok || signed == "/" {
		return false
	}
	item, part, nested := strings.Cut(item, "/")
	return item != "" && item != "." && item != ".." && (!nested || slices.Contains(below, part))
}
