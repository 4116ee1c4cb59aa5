package deliver

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

func TestCheckWebhookOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ options, fault string }{
		{``, ""},
		{`{}`, ""},
		{`{"post_headers": {"X-Mine": "yes", "Authorization": "Bearer x", "Content-Type": "application/json"}}`, ""},
		{`{"post_data": "{\"wrapped\": \"$zaqar_message$\"}"}`, ""},
		{`{"post_data": "{\"fixed\": true}"}`, ""},
		{`{"post_data": null, "post_headers": null, "other": 1}`, ""},
		{`[]`, "dict"},
		{`{"post_data": {"a": 1}}`, "post_data must be a string"},
		{`{"post_data": "{\"$zaqar_message$\": 1}"}`, "post_data must be JSON"},
		{`{"post_data": "payload=\"$zaqar_message$\""}`, "post_data must be JSON"},
		{`{"post_data": "[` + strings.Repeat(`\"$zaqar_message$\",`, 8) + `\"$zaqar_message$\"]"}`, "more than 8 times"},
		{`{"post_headers": "X-Mine"}`, "dict of strings"},
		{`{"post_headers": {"X-Mine": 1}}`, "dict of strings"},
		{`{"post_headers": {"host": "internal"}}`, "Host cannot be set"},
		{`{"Post_headers": {"host": "not an option"}, "post_Data": 1}`, ""},
		{`{"post_headers": {"content-length": "0"}}`, "Content-Length cannot be set"},
		{`{"post_headers": {"Transfer-Encoding": "chunked"}}`, "Transfer-Encoding cannot be set"},
		{`{"post_headers": {"connection": "close"}}`, "Connection cannot be set"},
		{`{"post_headers": {"Webhook-Signature": "v1,x"}}`, "Webhook-Signature cannot be set"},
		{`{"post_headers": {"webhook-anything": "x"}}`, "Webhook-Anything cannot be set"},
		{`{"post_headers": {"X Mine": "x"}}`, "not the name of a header"},
		{`{"post_headers": {"": "x"}}`, "not the name of a header"},
		{`{"post_headers": {"X-Mine": "a\r\nHost: b"}}`, "not allowed in a header"},
		{`{"post_headers": {"X-Mine": "a", "x-mine": "b"}}`, "there twice"},
		{`{"post_headers": {"X-Mine": "` + strings.Repeat("a", maxHeaderBytes) + `"}}`, "at most"},
	} {
		err := CheckWebhookOptions([]byte(c.options))
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%.200s: %v, want %q", c.options, err, c.fault)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	c.RequestTimeout = c.Lease / 2
	c.PageBytes, c.MaxRequests, c.Webhook.MaxRedirects = 0, 1, -1
	c.Webhook.AllowNetworks = []string{"localhost"}
	err := c.Check()
	for _, name := range []string{"RequestTimeout", "PageBytes", "MaxRequests", "MaxRedirects", "localhost"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not say %s: %v", name, err)
		}
	}
}

// FuzzWebhookOptions has any options: with those that are accepted a request can be made, and its body is JSON.
func FuzzWebhookOptions(f *testing.F) {
	f.Add([]byte(`{"post_headers": {"X-Mine": "yes"}, "post_data": "{\"wrapped\": \"$zaqar_message$\"}"}`))
	f.Add([]byte(`{"post_data": "[\"$zaqar_message$\", \"\\\"$zaqar_message$\\\"\"]"}`))
	f.Add([]byte(`{"post_headers": {"Host": "x"}}`))
	w, err := NewWebhook(new(DefaultConfig()), "test")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, options []byte) {
		if CheckWebhookOptions(options) != nil {
			t.Skip()
		}
		d := testDurable("http://example.com/", string(options))
		d.Secrets = [][]byte{[]byte("secret")}
		request, err := w.request(t.Context(), d, testMessage(`"$zaqar_message$"`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil || !json.Valid(body) {
			t.Errorf("body %s, %v", body, err)
		}
		for name, values := range request.Header {
			if !httpguts.ValidHeaderFieldName(name) || len(values) > 0 && !httpguts.ValidHeaderFieldValue(values[0]) {
				t.Errorf("%q: %q", name, values)
			}
		}
		if request.Host != "example.com" || request.Header.Get("Webhook-Id") != "7-1a" {
			t.Errorf("%s %v", request.Host, request.Header)
		}
	})
}
