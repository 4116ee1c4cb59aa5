package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Why a signed URL is refused. They are wrapped with the detail, which is for logs: who presents a URL that is not good
// is told no more than that.
var (
	// ErrMalformed: a part is missing, or cannot be part of a signed URL.
	ErrMalformed = errors.New("malformed signed URL")
	// ErrExpired: the signature is good but its time is over.
	ErrExpired = errors.New("expired signed URL")
	// ErrSignature: the signature is not that of the other parts under this key.
	ErrSignature = errors.New("wrong signature of a signed URL")
)

// URL is what a signature vouches for: until Expires, Methods may be used on Paths in Project.
type URL struct {
	// Paths are paths of resources, like /v2/queues/q/messages.
	Paths []string
	// Methods are HTTP methods, like GET.
	Methods []string
	Project string
	// Expires is to the second; what is below is cut off.
	Expires time.Time
}

// Signed is a URL with its signature: hexadecimal, in lower case.
type Signed struct {
	URL
	Signature string
}

// Presented is what a request shows as a signed URL, as it was sent. The order of the lists does not matter.
type Presented struct {
	Signature, Expires, Project string
	Paths, Methods              []string
}

// expiresFormat is how the time of expiry is signed and sent: in UTC, without saying so.
const expiresFormat = "2006-01-02T15:04:05"

// FormatExpires writes a time of expiry in the way in which it is signed.
func FormatExpires(t time.Time) string { return t.UTC().Format(expiresFormat) }

// Sign signs u. What it returns is u as it was signed: lists sorted, the time cut to seconds in UTC. The error is an
// ErrMalformed: a part that would make the signed text ambiguous is not signed, because its signature might be good for
// something else, too.
func Sign(key []byte, u URL) (Signed, error) {
	s := Signed{URL: URL{
		Paths: sorted(u.Paths), Methods: sorted(u.Methods), Project: u.Project,
		Expires: u.Expires.UTC().Truncate(time.Second),
	}}
	if err := s.check(); err != nil {
		return Signed{}, err
	}
	s.Signature = hex.EncodeToString(s.sum(key))
	return s, nil
}

// Verify returns what p vouches for at the time now. The errors are ErrMalformed, ErrSignature and ErrExpired. How long
// it takes does not depend on how much of the signature is right.
func Verify(key []byte, p Presented, now time.Time) (URL, error) {
	signature, err := hex.DecodeString(p.Signature)
	if err != nil || len(signature) != sha256.Size {
		return URL{}, fmt.Errorf("%w: the signature is not 64 hexadecimal digits", ErrMalformed)
	}
	expires, err := ParseExpires(p.Expires)
	if err != nil {
		return URL{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	u := URL{Paths: sorted(p.Paths), Methods: sorted(p.Methods), Project: p.Project, Expires: expires}
	if err := u.check(); err != nil {
		return URL{}, err
	}
	if !hmac.Equal(signature, u.sum(key)) {
		return URL{}, ErrSignature
	}
	if !expires.After(now) {
		return URL{}, fmt.Errorf("%w: it was good until %s", ErrExpired, FormatExpires(expires))
	}
	return u, nil
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// sum is the MAC over the URL's parts, its lists being sorted. A literal backslash and n are between the parts: so it is
// in Zaqar, whose raw string takes no escapes.
func (u *URL) sum(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	for i, part := range []string{
		strings.Join(u.Paths, ","), strings.Join(u.Methods, ","), u.Project, FormatExpires(u.Expires),
	} {
		if i > 0 {
			mac.Write([]byte(`\n`))
		}
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// check refuses what could be read in two ways once its parts are joined: a project named `x\nother` would get
// signatures that are good for the project other.
func (u *URL) check() error {
	switch {
	case len(u.Paths) == 0:
		return fmt.Errorf("%w: it names no path", ErrMalformed)
	case len(u.Methods) == 0:
		return fmt.Errorf("%w: it names no method", ErrMalformed)
	case u.Project == "" || strings.Contains(u.Project, `\`):
		return fmt.Errorf("%w: a project without a name, or with a backslash in it, cannot be signed for", ErrMalformed)
	}
	for _, path := range u.Paths {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, `\,`) {
			return fmt.Errorf("%w: %q is no path", ErrMalformed, path)
		}
	}
	for _, method := range u.Methods {
		if !ValidMethod(method) {
			return fmt.Errorf("%w: %q is no method", ErrMalformed, method)
		}
	}
	return nil
}

// maxMethodLength is more than any method has. Bytes.
const maxMethodLength = 32

// ValidMethod says whether text can be a method in a signed URL: ASCII letters, dashes and underscores. Whether anything
// answers to it is another matter; Zaqar signs whatever it is asked to.
func ValidMethod(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
		default:
			return false
		}
	}
	return 0 < len(text) && len(text) <= maxMethodLength
}
