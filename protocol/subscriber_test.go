package protocol

import (
	"slices"
	"strings"
	"testing"
)

func TestShownSubscriber(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"http://u:p@host/path?q=1":     "http://u:xxxxx@host/path?q=1",
		"HTTPS://u:p:q@r@host":         "HTTPS://u:xxxxx@host",
		"http://:p@host":               "http://:xxxxx@host",
		"http://u@host/a:b@c":          "http://u@host/a:b@c",
		"http://host/a:b@c":            "http://host/a:b@c",
		"http://host?x=a:b@c":          "http://host?x=a:b@c",
		"http://u:%2F%40@[::1]:80/%7e": "http://u:xxxxx@[::1]:80/%7e",
		"mailto:a@example.com":         "mailto:a@example.com",
	} {
		if got := ShownSubscriber(uri); got != want {
			t.Errorf("%s is shown as %s, want %s", uri, got, want)
		}
	}
}

func TestSubscriberAddresses(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string][]string{
		"mailto:A%62c@Example.com,b@x.org,B@X.org?subject=s,t": {"abc@example.com", "b@x.org"},
		"HTTP://u:p@Example.COM./a?b":                          {"http://example.com:80"},
		"https://example.com":                                  {"https://example.com:443"},
		"http://[::1]:8080/":                                   {"http://[::1]:8080"},
		"http://%zz":                                           {"http://%zz"},
		"http:nowhere":                                         {"http:nowhere"},
	} {
		if got := SubscriberAddresses(uri); !slices.Equal(got, want) {
			t.Errorf("the addresses of %s are %q, want %q", uri, got, want)
		}
	}
}

// Settings of a smaller gateway bound what is stored of a subscriber and of a pool.
func TestSubscriberLimits(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	lim.MaxSubscriberBytes, lim.MaxOptionsBytes = 64, 20
	long := "http://h/" + strings.Repeat("x", 56)
	options := `{"k": "0123456789abcdef"}`
	queue, pool := PathValues{QueueName: "q", SubscriptionID: "s"}, PathValues{PoolName: "p"}
	for _, test := range []struct {
		action, body string
		path         PathValues
		want         string
	}{
		{"subscription_create", `{"subscriber": "` + long + `"}`, queue, "The subscriber is too long. Max size: 64 bytes"},
		{"subscription_update", `{"subscriber": "` + long + `"}`, queue, "The subscriber is too long. Max size: 64 bytes"},
		{"subscription_create", `{"subscriber": "http://h/", "options": ` + options + `}`, queue,
			"The options of the subscription are too large. Max size: 20 bytes"},
		{"subscription_update", `{"options": ` + options + `}`, queue, "The options of the subscription are too large. Max size: 20 bytes"},
		{"pool_create", `{"uri": "u", "weight": 1, "options": ` + options + `}`, pool, "The options of the pool are too large. Max size: 20 bytes"},
		{"pool_update", `{"options": ` + options + `}`, pool, "The options of the pool are too large. Max size: 20 bytes"},
	} {
		in := RESTInput{ClientID: "5f2d0e8e-9a0c-4b7e-8e0f-9a3c1e7a5b10", ProjectID: "p", HasClientID: true, HasProjectID: true,
			Path: test.path, Body: []byte(test.body)}
		var req Request
		err := DecodeREST(ActionByName(test.action), &in, &lim, &req)
		if err == nil || err.Status != 400 || err.Exception != test.want {
			t.Errorf("%s %s: %v, want %q", test.action, test.body, err, test.want)
		}
	}
}

// A key of the database's index has to hold project, queue and subscriber together.
func TestSubscriberOfLongProject(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	project := strings.Repeat("\U0001F600", 256)
	in := RESTInput{ClientID: "5f2d0e8e-9a0c-4b7e-8e0f-9a3c1e7a5b10", ProjectID: project, HasClientID: true, HasProjectID: true,
		Path: PathValues{QueueName: "q"}, Body: []byte(`{"subscriber": "http://h/` + strings.Repeat("x", 2000) + `"}`)}
	var req Request
	err := DecodeREST(ActionByName("subscription_create"), &in, &lim, &req)
	if err == nil || err.Exception != "The subscriber is too long. Max size: 1575 bytes" {
		t.Errorf("a subscriber of 2009 bytes in a project of 1024: %v", err)
	}
}
