package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/gateway/auth"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func confirming(c *gateway.Config) {
	withKey(c)
	c.Links.PublicURL, c.Links.RequireConfirmation = "https://mq.example.com/base", true
}

// subscribe makes a subscription over REST and returns its id.
func (n *node) subscribe(path, subscriber string) string {
	n.t.Helper()
	a := n.http("POST", path, nil, map[string]any{"subscriber": subscriber, "ttl": 600})
	var made struct {
		ID string `json:"subscription_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != 201 {
		n.t.Fatalf("subscribe: %+v", a)
	}
	return made.ID
}

func (n *node) confirmed(path string) bool {
	n.t.Helper()
	a := n.http("GET", path, nil, nil)
	var found struct{ Confirmed bool }
	if err := json.Unmarshal([]byte(a.body), &found); err != nil || a.status != 200 {
		n.t.Fatalf("%s: %+v", path, a)
	}
	return found.Confirmed
}

// request is what a webhook is sent when it is to confirm.
type request struct {
	Type          string          `json:"Message_Type"`
	Message       string          `json:"Message"`
	Signature     string          `json:"URL-Signature"`
	Methods       string          `json:"URL-Methods"`
	Paths         string          `json:"URL-Paths"`
	Project       string          `json:"X-Project-ID"`
	Expires       string          `json:"URL-Expires"`
	Queue         string          `json:"queue_name"`
	SubscribeBody json.RawMessage `json:"SubscribeBody"`
	LeaveBody     json.RawMessage `json:"UnsubscribeBody"`
	WSGI          string          `json:"WSGISubscribeURL"`
	WebSocket     string          `json:"WebSocketSubscribeURL"`
	Subscribe     string          `json:"SubscribeURL"`
	Unsubscribe   string          `json:"UnsubscribeURL"`
}

// confirmation makes the request for a subscription of project p.
func confirmation(t *testing.T, queue, id, subscriber string) request {
	t.Helper()
	cfg := gateway.DefaultConfig()
	confirming(&cfg)
	notice, err := gateway.NewLinks(cfg.Links).Confirmation(&protocol.Durable{Subscription: protocol.Subscription{
		ID: uuid.MustParse(id), Queue: protocol.QueueKey{Project: "p", Name: queue}, Subscriber: subscriber, TTL: 600, Age: 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	var r request
	if err := json.Unmarshal(notice.Confirmation.Body, &r); err != nil {
		t.Fatalf("%s: %v", notice.Confirmation.Body, err)
	}
	if notice.Confirmation.Page != r.Subscribe {
		t.Errorf("a mail leads to %s, a webhook to %s", notice.Confirmation.Page, r.Subscribe)
	}
	return r
}

func TestConfirmationRequest(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	id := n.subscribe("/v2/queues/q/subscriptions", "http://127.0.0.1:1/hook")
	r := confirmation(t, "q", id, "http://127.0.0.1:1/hook")
	path := "/v2/queues/q/subscriptions/" + id + "/confirm"
	if r.Type != "SubscriptionConfirmation" || r.Message != "You have chosen to subscribe to the queue: q" || r.Methods != "PUT" ||
		r.Paths != path || r.Project != "p" || r.Queue != "q" || string(r.SubscribeBody) != `{"confirmed": true}` && string(r.SubscribeBody) != `{"confirmed":true}` ||
		len(r.LeaveBody) == 0 || r.WSGI != "https://mq.example.com/base"+path || r.WebSocket != "wss://mq.example.com/base"+path {
		t.Errorf("%+v", r)
	}
	headers := map[string]string{
		"URL-Signature": r.Signature, "URL-Methods": r.Methods, "URL-Paths": r.Paths, "URL-Expires": r.Expires, "X-Project-ID": r.Project,
	}
	if n.confirmed("/v2/queues/q/subscriptions/" + id) {
		t.Fatal("confirmed before anybody said so")
	}
	other := n.subscribe("/v2/queues/q/subscriptions", "http://127.0.0.1:1/other")
	if a := n.http("PUT", "/v2/queues/q/subscriptions/"+other+"/confirm", headers, map[string]bool{"confirmed": true}); a.status != 404 {
		t.Errorf("one signature confirms another subscription: %+v", a)
	}
	if a := n.http("GET", "/v2/queues/q/subscriptions/"+id, headers, nil); a.status != 404 {
		t.Errorf("a signature to confirm is good for more: %+v", a)
	}
	for _, confirmed := range []bool{true, false} {
		if a := n.http("PUT", path, headers, map[string]bool{"confirmed": confirmed}); a.status != 204 || a.header.Get("Location") != path {
			t.Errorf("%+v", a)
		}
		if n.confirmed("/v2/queues/q/subscriptions/"+id) != confirmed {
			t.Errorf("confirmed is not %v", confirmed)
		}
	}
}

func TestSubscriptionConfirm(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	c := n.client()
	id := n.subscribe("/v2/queues/q/subscriptions", "http://127.0.0.1:1/hook")
	reply := c.must(204, "subscription_confirm", map[string]any{"subscription_id": id, "confirmed": true})
	if reply != "Subscription "+id+" confirmed." || !n.confirmed("/v2/queues/q/subscriptions/"+id) {
		t.Errorf("%v", reply)
	}
	for _, missing := range []string{"nope", uuid.NewString()} {
		if status, reply := c.do("subscription_confirm", map[string]any{"subscription_id": missing, "confirmed": true}); status != 404 {
			t.Errorf("%s: %d %v", missing, status, reply)
		}
	}
	if status, reply := c.do("subscription_confirm", map[string]any{"subscription_id": id, "confirmed": true, "queue_name": "other"}); status != 404 {
		t.Errorf("by another queue: %d %v", status, reply)
	}
}

// open requests the page under a link, which leads to the public address. form is sent by POST if it is not nil.
func (n *node) open(link string, form url.Values) answered {
	n.t.Helper()
	_, query, _ := strings.Cut(link, "?")
	method, body := "GET", ""
	if form != nil {
		method, body = "POST", form.Encode()
	}
	r, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+n.addr+"/confirm?"+query, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return n.roundTrip(r)
}

func TestConfirmPage(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	const subscriber = "https://u:pw@hooks.example.com/secret?token=secret"
	id := n.subscribe("/v2/topics/t/subscriptions", subscriber)
	r := confirmation(t, protocol.TopicPrefix+"t", id, subscriber)
	if !strings.HasPrefix(r.Subscribe, "https://mq.example.com/base/confirm?") {
		t.Errorf("link %s", r.Subscribe)
	}
	at := "/v2/topics/t/subscriptions/" + id

	page := n.open(r.Subscribe, nil)
	if page.status != 200 || n.confirmed(at) {
		t.Errorf("opening the page: %+v", page)
	}
	for _, want := range []string{"Topic", "<dd>t</dd>", "<dd>p</dd>", "https://hooks.example.com", `name="confirmed" value="true"`, `<form method="post">`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("no %s in %s", want, page.body)
		}
	}
	for _, secret := range []string{"secret", "pw", "<script"} {
		if strings.Contains(page.body, secret) {
			t.Errorf("%q is in %s", secret, page.body)
		}
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") ||
		strings.Contains(policy, "unsafe") || page.header.Get("Cache-Control") != "no-store" || page.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("header %v", page.header)
	}
	for _, step := range []struct {
		link      string
		form      url.Values
		confirmed bool
		text      string
	}{
		{r.Subscribe, url.Values{"confirmed": {"true"}}, true, "Thank you"},
		{r.Subscribe, nil, true, "You have confirmed this"},
		{r.Subscribe, url.Values{"confirmed": {"true"}}, true, "Thank you"},
		{r.Unsubscribe, nil, true, "Unsubscribe?"},
		{r.Unsubscribe, url.Values{"confirmed": {"false"}}, false, "You are unsubscribed"},
		{r.Subscribe, url.Values{"confirmed": {"true"}}, true, "Thank you"},
		{r.Unsubscribe, url.Values{"List-Unsubscribe": {"One-Click"}}, false, "You are unsubscribed"},
	} {
		page := n.open(step.link, step.form)
		if page.status != 200 || !strings.Contains(page.body, step.text) || n.confirmed(at) != step.confirmed {
			t.Errorf("%v: %+v", step, page)
		}
	}
}

func TestConfirmPageRefuses(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), confirming)
	id := n.subscribe("/v2/queues/q/subscriptions", "http://127.0.0.1:1/hook")
	r := confirmation(t, "q", id, "http://127.0.0.1:1/hook")
	yes := url.Values{"confirmed": {"true"}}
	altered := func(key, value string) string {
		u, err := url.Parse(r.Subscribe)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		query.Set(key, value)
		u.RawQuery = query.Encode()
		return u.String()
	}
	share := n.share(map[string]any{"paths": []string{"subscriptions"}, "methods": []string{"PUT"}})
	sharedLink := "/confirm?" + url.Values{"Signature": {share.Signature}, "Expires": {share.Expires}, "Methods": {"PUT"}, "Paths": share.Paths, "Project": {"p"}}.Encode()
	for name, test := range map[string]struct {
		link string
		form url.Values
		want int
		text string
	}{
		"altered":         {altered("Signature", strings.Repeat("0", 64)), yes, 404, "not valid"},
		"another project": {altered("Project", "<script>"), yes, 404, "not valid"},
		"another id":      {altered("Paths", "/v2/queues/q/subscriptions/"+uuid.NewString()+"/confirm"), yes, 404, "not valid"},
		"another path":    {altered("Paths", "/v2/queues/q/messages"), yes, 404, "not valid"},
		"later":           {altered("Expires", "2999-01-01T00:00:00"), yes, 404, "not valid"},
		"no query":        {"/confirm", yes, 404, "not valid"},
		"a share":         {sharedLink, yes, 404, "not valid"},
		"expired":         {signedConfirm(t, "q", id, time.Now().Add(-time.Minute)), yes, 410, "expired"},
		"no such":         {signedConfirm(t, "q", uuid.NewString(), time.Now().Add(time.Minute)), yes, 404, "is over"},
		"no such queue":   {signedConfirm(t, "none", id, time.Now().Add(time.Minute)), nil, 404, "is over"},
		"no answer":       {r.Subscribe, url.Values{}, 400, "not understood"},
		"other answer":    {r.Subscribe, url.Values{"confirmed": {"maybe"}}, 400, "not understood"},
		"large":           {r.Subscribe, url.Values{"x": {strings.Repeat("x", 10_000)}}, 400, "not understood"},
	} {
		page := n.open(test.link, test.form)
		if page.status != test.want || !strings.Contains(page.body, test.text) || strings.Contains(page.body, "<script>") {
			t.Errorf("%s: %+v", name, page)
		}
	}
	if n.confirmed("/v2/queues/q/subscriptions/" + id) {
		t.Error("confirmed all the same")
	}
	if a := n.http("DELETE", "/confirm", nil, nil); a.status != 405 || a.header.Get("Allow") == "" {
		t.Errorf("%+v", a)
	}
}

// signedConfirm is a link with its own time of expiry.
func signedConfirm(t *testing.T, queue, id string, expires time.Time) string {
	t.Helper()
	s, err := auth.Sign([]byte(signingKey), auth.URL{
		Paths: []string{"/v2/queues/" + queue + "/subscriptions/" + id + "/confirm"}, Methods: []string{"PUT"}, Project: "p", Expires: expires,
	})
	if err != nil {
		t.Fatal(err)
	}
	return "/confirm?" + url.Values{
		"Signature": {s.Signature}, "Methods": s.Methods, "Paths": s.Paths, "Project": {"p"}, "Expires": {auth.FormatExpires(expires)},
	}.Encode()
}

// Where nothing has to be confirmed, whoever unsubscribes has to be forgotten: nothing else keeps messages away.
func TestUnsubscribeWithoutConfirmation(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), withKey)
	id := n.subscribe("/v2/queues/q/subscriptions", "mailto:ada@example.com")
	page := n.open(signedConfirm(t, "q", id, time.Now().Add(time.Minute)), url.Values{"List-Unsubscribe": {"One-Click"}})
	if a := n.http("GET", "/v2/queues/q/subscriptions/"+id, nil, nil); page.status != 200 || a.status != 404 {
		t.Errorf("%+v %+v", page, a)
	}
}

func TestMailSubscribersAreChecked(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.URL(t), nil)
	without := startNode(t, storetest.URL(t), func(c *gateway.Config) { c.Links.MailRefused = "no mail here" })
	for _, test := range []struct {
		n                *node
		subscriber, text string
	}{
		{n, "mailto:ada", "is not a mail address"},
		{n, "mailto:ada@example.com?bcc=eve@example.com", "but no \\\"bcc\\\""},
		{n, "MailTo:ada@example.com?subject=a%0ab", "one line"},
		{without, "mailto:ada@example.com", "mailto: no mail here"},
	} {
		a := test.n.http("POST", "/v2/queues/q/subscriptions", nil, map[string]any{"subscriber": test.subscriber})
		if a.status != 400 || !strings.Contains(a.body, test.text) {
			t.Errorf("%s: %+v", test.subscriber, a)
		}
		if status, reply := test.n.client().do("subscription_create", map[string]any{"subscriber": test.subscriber}); status != 400 {
			t.Errorf("%s: %d %v", test.subscriber, status, reply)
		}
	}
	id := n.subscribe("/v2/queues/q/subscriptions", "mailto:ada@example.com?subject=x%20y")
	if a := n.http("PATCH", "/v2/queues/q/subscriptions/"+id, nil, map[string]any{"subscriber": "mailto:bob"}); a.status != 400 {
		t.Errorf("a change to no address: %+v", a)
	}
}
