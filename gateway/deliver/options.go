package deliver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// placeholder, with its quotes, is what a message takes the place of in post_data.
const placeholder = `"$zaqar_message$"`

// maxPlaceholders bounds how often post_data holds the message, and so how much larger than it a request can be.
const maxPlaceholders = 8

// Bounds of post_headers; what they need beside the message is small.
const (
	maxHeaders     = 50
	maxHeaderBytes = 16 << 10
)

// webhookOptions are those of a webhook's options that say what it is sent.
type webhookOptions struct {
	postData    *string
	postHeaders map[string]string
}

// readWebhookOptions reads the options of a subscription, a JSON object or nothing. Its error may be shown to clients.
func readWebhookOptions(options []byte) (o webhookOptions, err error) {
	if len(options) == 0 {
		return o, nil
	}
	var members map[string]json.RawMessage // a struct would take names in any case
	if json.Unmarshal(options, &members) != nil {
		return o, errors.New("options must be a dict")
	}
	if text, ok := members["post_data"]; ok && json.Unmarshal(text, &o.postData) != nil {
		return o, errors.New("post_data must be a string")
	}
	if text, ok := members["post_headers"]; ok && json.Unmarshal(text, &o.postHeaders) != nil {
		return o, errors.New("post_headers must be a dict of strings")
	}
	return o, nil
}

// ownHeaders may not be among post_headers: those that HTTP uses between two hops (RFC 9110, section 7.6.1), those that
// say where a request goes or ends, and ours.
var ownHeaders = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Host": true, "Content-Length": true, "Content-Encoding": true, "Expect": true, "Idempotency-Key": true,
}

// reserved says whether a header is not the subscriber's to set. Name is canonical.
func reserved(name string) bool { return ownHeaders[name] || strings.HasPrefix(name, "Webhook-") }

// CheckWebhookOptions says what is wrong with the options of a webhook subscription, a JSON object, in a text that
// clients may see: post_headers must be header fields that are not this gateway's to set, and post_data a text that is
// JSON once each "$zaqar_message$", quotes included, is replaced by a message.
func CheckWebhookOptions(options []byte) error {
	o, err := readWebhookOptions(options)
	if err != nil {
		return err
	}
	if o.postData != nil && strings.Count(*o.postData, placeholder) > maxPlaceholders {
		return fmt.Errorf("post_data must not hold the message more than %d times", maxPlaceholders)
	}
	if o.postData != nil && !json.Valid(o.fill([]byte(`{}`))) {
		return errors.New("post_data must be JSON once the message is filled in")
	}
	return checkHeaders(o.postHeaders)
}

// checkHeaders checks post_headers, in the order of their names, so that the same fault is told each time.
func checkHeaders(headers map[string]string) error {
	size := 0
	seen := make(map[string]bool, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		canonical := http.CanonicalHeaderKey(name)
		switch size += len(name) + len(headers[name]); {
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("post_headers: %q is not the name of a header", name)
		case reserved(canonical):
			return fmt.Errorf("post_headers: %s cannot be set", canonical)
		case seen[canonical]:
			return fmt.Errorf("post_headers: %s is there twice", canonical)
		case !httpguts.ValidHeaderFieldValue(headers[name]):
			return fmt.Errorf("post_headers: the value of %s is not allowed in a header", canonical)
		}
		seen[canonical] = true
	}
	if len(headers) > maxHeaders || size > maxHeaderBytes {
		return fmt.Errorf("post_headers: at most %d headers with %d bytes", maxHeaders, maxHeaderBytes)
	}
	return nil
}

// fill returns what is sent for a payload: the payload, or post_data with the payload filled in.
func (o *webhookOptions) fill(payload []byte) []byte {
	if o.postData == nil {
		return payload
	}
	return bytes.Replace([]byte(*o.postData), []byte(placeholder), payload, maxPlaceholders)
}

// enlarged says how often a request made with these options holds its message, and how much it holds beside. Bytes.
func enlarged(options []byte) (copies, fixed int) {
	if len(options) == 0 {
		return 1, 0
	}
	o, err := readWebhookOptions(options)
	if err != nil || o.postData == nil {
		return 1, 0
	}
	return min(strings.Count(*o.postData, placeholder), maxPlaceholders), len(*o.postData)
}

// header sets post_headers in h. Those that should have been refused are passed over.
func (o *webhookOptions) header(h http.Header) {
	for name, value := range o.postHeaders {
		canonical := http.CanonicalHeaderKey(name)
		if !reserved(canonical) && httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) {
			h[canonical] = []string{value}
		}
	}
}
