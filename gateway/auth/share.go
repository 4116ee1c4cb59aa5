package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ShareRequest is what queue_share asks for. Nil lists and a nil Expires ask for the defaults: reading messages, for a
// day.
type ShareRequest struct {
	// Paths are resources of the queue: messages, claims, subscriptions.
	Paths []string
	// Methods are HTTP methods.
	Methods []string
	// Expires is a time of ISO 8601.
	Expires *string
}

// shareable are the resources of a queue that can be shared, as in Zaqar.
var shareable = []string{"messages", "subscriptions", "claims"}

// shareFor is how long a share is good that does not say.
const shareFor = 24 * time.Hour

// Share makes the signed URL that r asks for, for the queue (or topic) whose path is given: /v2/queues/q. The errors are
// faults of the request, in Zaqar's words, to be shown.
func Share(key []byte, queue, project string, r ShareRequest, now time.Time) (Signed, error) {
	u := URL{Paths: r.Paths, Methods: r.Methods, Project: project, Expires: now.Add(shareFor)}
	if len(u.Paths) == 0 {
		u.Paths = []string{"messages"}
	}
	if len(u.Methods) == 0 {
		u.Methods = []string{"GET"}
	}
	if err := checkShare(u); err != nil {
		return Signed{}, err
	}
	u.Paths = slices.Clone(u.Paths)
	for i, path := range u.Paths {
		u.Paths[i] = queue + "/" + path
	}
	if r.Expires != nil {
		expires, err := ParseExpires(*r.Expires)
		if err != nil {
			return Signed{}, err
		}
		if !expires.After(now) {
			return Signed{}, errors.New("`expires` is lower than the current time")
		}
		u.Expires = expires
	}
	signed, err := Sign(key, u)
	if err != nil {
		return Signed{}, fmt.Errorf("cannot share: %w", err)
	}
	return signed, nil
}

// maxShared is how many paths or methods one share may name; each name once is enough.
const maxShared = 16

// checkShare refuses what cannot be shared.
func checkShare(u URL) error {
	if len(u.Paths) > maxShared || len(u.Methods) > maxShared {
		return fmt.Errorf("`paths` and `methods` may have %d elements at most", maxShared)
	}
	var unknown []string
	for _, path := range u.Paths {
		if !slices.Contains(shareable, path) {
			unknown = append(unknown, quote(path))
		}
	}
	if len(unknown) > 0 { // Zaqar prints a set
		slices.Sort(unknown)
		return shown("Invalid paths: {" + strings.Join(slices.Compact(unknown), ", ") + "}")
	}
	for _, method := range u.Methods {
		if !ValidMethod(method) {
			return fmt.Errorf("`methods` should be a list of HTTP methods, and %s is none", quote(method))
		}
	}
	return nil
}
