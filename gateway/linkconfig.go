package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// LinkConfig holds the settings of signed URLs, and of the confirmation that they carry.
type LinkConfig struct {
	// SigningKey signs URLs: those of queue_share and the links in messages to subscribers. All gateways of a database
	// need the same one. Bytes, 16 or more; default none, which has New make a key that is good for this gateway only, and
	// for as long as it runs.
	SigningKey string
	// PublicURL is where subscribers reach the gateways, like https://mq.example.com; links begin with it. Default none.
	PublicURL string
	// RequireConfirmation has webhook and mail subscribers asked whether they want the messages, and delivers nothing
	// before they have said so. It needs PublicURL. Default off.
	RequireConfirmation bool
	// MailRefused says why there are no subscribers by mail, as the end of "mailto: …"; "" if there are.
	MailRefused string
}

// minSigningKey is the shortest key that cannot be guessed. Bytes.
const minSigningKey = 16

// Check returns an error that names every setting that is out of its range; nil if all is well.
func (c LinkConfig) Check() error {
	var faults []error
	if c.SigningKey != "" && len(c.SigningKey) < minSigningKey {
		faults = append(faults, fmt.Errorf("links: SigningKey must have at least %d bytes", minSigningKey))
	}
	if err := checkPublicURL(c.PublicURL); err != nil {
		faults = append(faults, err)
	}
	if c.RequireConfirmation && c.PublicURL == "" {
		faults = append(faults, errors.New("links: RequireConfirmation needs PublicURL: those who are asked get a link"))
	}
	return errors.Join(faults...)
}

// checkPublicURL refuses what a link cannot begin with.
func checkPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("links: PublicURL %q is not like https://mq.example.com: http or https, a host, and perhaps a path", text)
	}
	return nil
}

// key is the key that signs.
func (c *LinkConfig) key() []byte { return []byte(c.SigningKey) }

// link is the address of a path on these gateways, with a query.
func (c *LinkConfig) link(path string, query url.Values) string {
	link := strings.TrimRight(c.PublicURL, "/") + path
	if len(query) > 0 {
		link += "?" + query.Encode()
	}
	return link
}

// ensureKey makes a key if there is none.
func (c *LinkConfig) ensureKey() {
	if c.SigningKey == "" {
		c.SigningKey = rand.Text()
	}
}
