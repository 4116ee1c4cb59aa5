package e2e

import (
	"bytes"
	"io"
	"log"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// postOffice is an SMTP server that keeps the mails that it takes.
type postOffice struct {
	t     *testing.T
	port  int
	mails chan letter
}

// letter is a mail, its body decoded.
type letter struct {
	to     []string
	header mail.Header
	body   string
}

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	o := &postOffice{t: t, mails: make(chan letter, 10)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &counter{office: o}, nil }))
	server.Domain, server.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.port = ln.Addr().(*net.TCPAddr).Port
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ln) // until Close
	}()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return o
}

// flags let a gateway send mails here.
func (o *postOffice) flags() []string {
	return []string{
		"--mail-host=127.0.0.1", "--mail-port=" + strconv.Itoa(o.port), "--mail-tls=none", "--mail-from=Nusku <nusku@example.com>",
	}
}

// await returns the next mail.
func (o *postOffice) await() letter {
	o.t.Helper()
	select {
	case l := <-o.mails:
		return l
	case <-within(o.t).Done():
		o.t.Fatal("no mail came")
		return letter{}
	}
}

// counter is one session.
type counter struct {
	office *postOffice
	to     []string
}

func (c *counter) Mail(string, *smtp.MailOptions) error { return nil }
func (c *counter) Reset()                               { c.to = nil }
func (c *counter) Logout() error                        { return nil }

func (c *counter) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = append(c.to, to)
	return nil
}

func (c *counter) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	body := m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	c.office.mails <- letter{c.to, m.Header, string(text)}
	return err
}

// Nothing is mailed before the subscriber has said yes, everything after, and nothing more once it has left.
func TestMailSubscriber(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t)
	g := own(t, append(office.flags(), "--require-confirmation", "--public-url=http://mq.example.com")...)
	c := g.rest(t)
	c.do(201, "POST", "/v2/queues/q/subscriptions", map[string]any{"subscriber": "mailto:ada@example.com", "ttl": 600, "options": map[string]any{"subject": "News"}}, nil)
	ask := office.await()
	page := regexp.MustCompile(`http://mq\.example\.com/confirm\?\S+`).FindString(ask.body)
	if ask.to[0] != "ada@example.com" || page == "" {
		t.Fatalf("no request for confirmation: %+v", ask)
	}
	c.postMail("before")
	c.visit(page, nil, "Do you want these messages?")
	c.visit(page, url.Values{"confirmed": {"true"}}, "Thank you")
	c.postMail("after")
	for _, want := range []string{"before", "after"} {
		l := office.await()
		if !strings.HasPrefix(l.body, want+"\r\n") || l.header.Get("Subject") != "News" {
			t.Errorf("want %q: %+v", want, l)
		}
		page = strings.Trim(l.header.Get("List-Unsubscribe"), "<>")
	}
	c.visit(page, url.Values{"List-Unsubscribe": {"One-Click"}}, "You are unsubscribed")
	c.postMail("too late")
	// Another subscriber is mailed next.
	c.do(201, "POST", "/v2/queues/other/subscriptions", map[string]any{"subscriber": "mailto:bob@example.com"}, nil)
	if l := office.await(); l.to[0] != "bob@example.com" {
		t.Errorf("mailed after the end: %+v", l)
	}
}

// postMail posts a message to queue q.
func (c *restClient) postMail(body string) {
	c.t.Helper()
	c.do(201, "POST", "/v2/queues/q/messages", map[string]any{"messages": []any{map[string]any{"body": body, "ttl": 300}}}, nil)
}

// visit opens a page of the gateway under its public address, or sends form to it.
func (c *restClient) visit(link string, form url.Values, want string) {
	c.t.Helper()
	_, path, _ := strings.Cut(link, "mq.example.com")
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	visitor := *c
	visitor.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	a, err := visitor.send(within(c.t), method, path, body)
	if err != nil || a.status != 200 || !strings.Contains(string(a.body), want) {
		c.t.Fatalf("%s: %+v %v", link, a, err)
	}
}

// What is said about mail at the start and to clients where there is none, or where it cannot work.
func TestMailSettings(t *testing.T) {
	t.Parallel()
	c := defaults(t).rest(t)
	a, err := c.send(within(t), "POST", "/v2/queues/q/subscriptions", map[string]any{"subscriber": "mailto:ada@example.com"})
	if err != nil || a.status != 400 || !strings.Contains(string(a.body), "mail-host") {
		t.Errorf("%+v %v", a, err)
	}
	for want, flags := range map[string][]string{
		"public-url": {"--require-confirmation"},
		"From":       {"--mail-host=mail.example.com"},
		"either":     {"--mail-host=mail.example.com", "--mail-command=sendmail", "--mail-from=a@example.com"},
	} {
		out, err := exec.Command(program, append([]string{"check-config"}, flags...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v\n%s", flags, err, out)
		}
	}
	out, _ := exec.Command(program, "check-config", "--mail-host=m.example.com", "--mail-from=a@example.com", "--mail-user=u",
		"--mail-password=verysecret", "--signing-key=verysecretindeed").CombinedOutput()
	if strings.Contains(string(out), "verysecret") || !strings.Contains(string(out), "m.example.com") {
		t.Errorf("%s", out)
	}
}
