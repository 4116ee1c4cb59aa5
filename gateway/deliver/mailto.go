package deliver

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mailto is what a mailto URI (RFC 6068) says.
type Mailto struct {
	// To are the addresses, at least one. They have no display names.
	To []string
	// Subject is one line; "" if the URI has none.
	Subject string
}

// The bounds of a mailto URI.
const (
	maxRecipients   = 10
	maxSubjectRunes = 250
	// maxAddress is what RFC 5321 allows. Bytes.
	maxAddress = 254
)

// ParseMailto reads a mailto URI: addresses separated by commas, and a subject as its only header field. Every other
// field is refused, among them body, cc and bcc: who subscribes somebody must not write the mail. The error is for
// people.
func ParseMailto(uri string) (*Mailto, error) {
	u, err := url.Parse(uri)
	if err != nil || !strings.EqualFold(u.Scheme, "mailto") || u.Host != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%s is not a mail address like mailto:someone@example.com", quoted(uri))
	}
	m := new(Mailto)
	if m.To, err = mailtoAddresses(u); err != nil {
		return nil, err
	}
	fields, err := mailtoFields(u.RawQuery)
	if err != nil {
		return nil, err
	}
	for name, value := range fields {
		if !strings.EqualFold(name, "subject") {
			return nil, fmt.Errorf("a mailto subscriber may have a subject, but no %s", quoted(name))
		}
		if m.Subject != "" {
			return nil, errors.New("a mailto subscriber may have one subject")
		}
		if m.Subject, err = checkSubject(value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// mailtoAddresses reads the part before the question mark. It is taken apart before it is unescaped, so that an escaped
// comma belongs to an address.
func mailtoAddresses(u *url.URL) ([]string, error) {
	text := u.Opaque
	if text == "" {
		text = u.EscapedPath()
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxRecipients {
		return nil, fmt.Errorf("a mailto subscriber may have %d addresses at most", maxRecipients)
	}
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err == nil {
			plain, err = checkAddress(plain)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not a mail address", quoted(part))
		}
		parts[i] = plain
	}
	return parts, nil
}

// checkAddress returns an address that may stand in a header and in an SMTP command: an address alone, without a name,
// comment or control character.
func checkAddress(text string) (string, error) {
	if len(text) > maxAddress || !printable(text) {
		return "", fmt.Errorf("%s cannot be a mail address", quoted(text))
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Name != "" || parsed.Address != text || strings.HasPrefix(text, "-") {
		return "", fmt.Errorf("%s is not a mail address", quoted(text))
	}
	return parsed.Address, nil
}

// mailtoFields takes the query apart. A plus sign stands for a space, as in Zaqar, though not in RFC 6068.
func mailtoFields(query string) (map[string]string, error) {
	fields := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if _, twice := fields[name]; nameErr != nil || valueErr != nil || twice {
			return nil, fmt.Errorf("the fields of a mailto subscriber are not well-formed: %s", quoted(pair))
		}
		fields[name] = value
	}
	return fields, nil
}

// checkSubject refuses what would not stay one line.
func checkSubject(text string) (string, error) {
	switch {
	case !printable(text):
		return "", errors.New("a mail's subject must be one line of text")
	case utf8.RuneCountInString(text) > maxSubjectRunes:
		return "", fmt.Errorf("a mail's subject may have %d characters at most", maxSubjectRunes)
	}
	return text, nil
}

// printable says whether text is UTF-8 without control characters, line ends and separators among them.
func printable(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	}) < 0
}

// quoted repeats a bounded part of a text that is refused.
func quoted(text string) string {
	const most = 100
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}
