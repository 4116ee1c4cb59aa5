package auth

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// expiresLayouts are the forms of ISO 8601 that a time of expiry may have. Without a zone it is UTC. Fractions of
// seconds are read wherever there are seconds.
var expiresLayouts = func() (layouts []string) {
	for _, date := range []string{"2006-01-02T", "2006-01-02 "} {
		for _, clock := range []string{"15:04:05", "15:04"} {
			for _, zone := range []string{"", "Z07:00", "Z0700", "Z07"} {
				layouts = append(layouts, date+clock+zone)
			}
		}
	}
	return append(layouts, "2006-01-02")
}()

// ParseExpires reads a time of expiry to the second, in UTC. Its error is for people, in Zaqar's words.
func ParseExpires(text string) (time.Time, error) {
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n != 0 {
		return time.Time{}, fmt.Errorf("`expires` should be date format, for example 2016-01-01T00:00:00, not integer value: %d", n)
	}
	for _, layout := range expiresLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Truncate(time.Second), nil
		}
	}
	return time.Time{}, shown("Unable to parse date string " + quote(text))
}

// shown is a fault in the words that clients know for it.
type shown string

// Error returns the words.
func (s shown) Error() string { return string(s) }

// maxQuoted bounds what is repeated of a text that makes no sense. Bytes.
const maxQuoted = 100

func quote(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return "'" + text + "'"
}
