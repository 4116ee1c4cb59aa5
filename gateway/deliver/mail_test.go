package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// readMail parses a mail and decodes its subject and body.
func readMail(raw []byte) (*mail.Message, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if m.Header["Subject"][0], err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return nil, err
	}
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		m.Body = quotedprintable.NewReader(m.Body)
	}
	return m, nil
}

func bodyOf(t *testing.T, m takenMail) string {
	t.Helper()
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), "\r\n", "\n")
}

// mailbox is a subscription of a mailbox.
func mailbox(subscriber, options string) *protocol.Durable {
	id := uuid.MustParse("6f1c2f2e-0b67-4f43-9d7e-2a3f6b1d9c55")
	return &protocol.Durable{Lease: protocol.Lease{ID: id}, Subscription: protocol.Subscription{
		ID: id, Queue: protocol.QueueKey{Project: "shop", Name: "orders"}, Subscriber: subscriber, Options: []byte(options),
	}}
}

func mailNotice(body string) Notice {
	return messageNotice(&protocol.Message{ID: protocol.MessageID{Queue: 7, N: 42}, Seq: 42, Body: []byte(body), TTL: 300})
}

// fixedLink is an Unsubscriber.
type fixedLink string

func (l fixedLink) UnsubscribeLink(*protocol.Subscription) string { return string(l) }

func newTestMail(t *testing.T, cfg MailConfig, links Unsubscriber) *Mail {
	t.Helper()
	s, err := NewMail(cfg, links)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMailBySTARTTLS(t *testing.T) {
	t.Parallel()
	server := newSMTPServer(t, false, func(s *smtpServer) { s.user, s.password = "nusku", "p4ss" })
	cfg := server.config()
	cfg.User, cfg.Password = "nusku", "p4ss"
	sink := newTestMail(t, cfg, fixedLink("https://mq.example.com/confirm?x=1"))
	d := mailbox("mailto:ada@example.com,bob%2Btag@example.com?subject=New%20order", `{}`)
	for range 2 {
		if err := sink.Deliver(t.Context(), d, mailNotice(`{"n": 1}`)); err != nil {
			t.Fatal(err)
		}
	}
	m, again := <-server.mails, <-server.mails
	if !m.secure || m.user != "nusku" || m.from != "nusku@example.com" || strings.Join(m.to, " ") != "ada@example.com bob+tag@example.com" {
		t.Errorf("%+v", m)
	}
	for name, want := range map[string]string{
		"Subject": "New order", "From": `"Nusku" <nusku@example.com>`, "To": "<ada@example.com>, <bob+tag@example.com>",
		"List-Unsubscribe": "<https://mq.example.com/confirm?x=1>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"Auto-Submitted": "auto-generated", "Sender": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := m.Header.Get("Message-Id"); id == "" || id != again.Header.Get("Message-Id") || !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("Message-ID %q, when sent again %q", id, again.Header.Get("Message-Id"))
	}
	if body := bodyOf(t, m); !strings.HasPrefix(body, "{\n  \"n\": 1\n}\n") || !strings.Contains(body, "Queue orders, message") {
		t.Errorf("body %q", body)
	}
}

func TestMailByImplicitTLS(t *testing.T) {
	t.Parallel()
	server := newSMTPServer(t, true, func(s *smtpServer) { s.user, s.password = "nusku", "p4ss" })
	cfg := server.config()
	cfg.TLS, cfg.User, cfg.Password = MailTLSImplicit, "nusku", "p4ss"
	if err := newTestMail(t, cfg, nil).Deliver(t.Context(), mailbox("mailto:ada@example.com", `{}`), mailNotice(`"héllo"`)); err != nil {
		t.Fatal(err)
	}
	if m := <-server.mails; !m.secure || m.user != "nusku" || !strings.HasPrefix(bodyOf(t, m), "héllo\n") {
		t.Errorf("%+v", m)
	}
}

// What the gateway is told to encrypt is not sent in the open, and not to a server that is not known.
func TestMailIsNotSentInTheOpen(t *testing.T) {
	t.Parallel()
	open := newSMTPServer(t, false, func(s *smtpServer) { s.TLSConfig = nil })
	if f := deliverFailure(t, open.config(), "mailto:ada@example.com"); f.Final || !f.Down {
		t.Errorf("a server without STARTTLS: %+v", f)
	}
	stranger := newSMTPServer(t, false, nil)
	cfg := stranger.config()
	cfg.CAFile = open.caFile
	if f := deliverFailure(t, cfg, "mailto:ada@example.com"); f.Final || !f.Down {
		t.Errorf("a server with another certificate: %+v", f)
	}
	cfg.TLS = MailTLSNone
	if err := newTestMail(t, cfg, nil).Deliver(t.Context(), mailbox("mailto:ada@example.com", `{}`), mailNotice(`1`)); err != nil {
		t.Errorf("without TLS: %v", err)
	}
	select {
	case <-open.mails:
		t.Error("a mail was sent in the open")
	default:
	}
}

func deliverFailure(t *testing.T, cfg MailConfig, subscriber string) *Failure {
	t.Helper()
	return failureIn(t, newTestMail(t, cfg, nil).Deliver(t.Context(), mailbox(subscriber, `{}`), mailNotice(`1`)))
}

func failureIn(t *testing.T, err error) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v is no Failure", err)
	}
	return f
}

// A server's no for good buries the mail; everything else is tried again.
func TestMailFailures(t *testing.T) {
	t.Parallel()
	refuse := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "secret detail"}
	}
	for name, test := range map[string]struct {
		change func(*smtpServer)
		config func(*MailConfig)
		want   Failure
	}{
		"unknown mailbox": {func(s *smtpServer) { s.rcpt = func(string) error { return refuse(550) } }, nil,
			Failure{Reason: "the mail server answered 550", Final: true}},
		"greylisted": {func(s *smtpServer) { s.rcpt = func(string) error { return refuse(451) } }, nil,
			Failure{Reason: "the mail server answered 451"}},
		"refused as spam": {func(s *smtpServer) { s.data = func() error { return refuse(554) } }, nil,
			Failure{Reason: "the mail server answered 554", Final: true}},
		"full": {func(s *smtpServer) { s.data = func() error { return refuse(452) } }, nil,
			Failure{Reason: "the mail server answered 452"}},
		"shutting down": {func(s *smtpServer) { s.data = func() error { return refuse(421) } }, nil,
			Failure{Reason: "the mail server answered 421", Down: true}},
		"wrong password": {func(s *smtpServer) { s.user, s.password = "nusku", "right" },
			func(c *MailConfig) { c.User, c.Password = "nusku", "wrong" },
			Failure{Reason: "the mail server could not be used", Down: true}},
		"nobody there": {nil, func(c *MailConfig) { c.Port = 1 },
			Failure{Reason: "the mail server could not be used", Down: true}},
		"hangs": {func(s *smtpServer) { s.hang = make(chan struct{}) }, func(c *MailConfig) { c.Timeout = 200 * time.Millisecond },
			Failure{Reason: "the mail server did not answer in time", Down: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newSMTPServer(t, false, test.change)
			cfg := server.config()
			if test.config != nil {
				test.config(&cfg)
			}
			f := deliverFailure(t, cfg, "mailto:ada@example.com")
			if f.Reason != test.want.Reason || f.Final != test.want.Final || f.Down != test.want.Down {
				t.Errorf("%+v, want %+v", f, test.want)
			}
			select {
			case m := <-server.mails:
				t.Errorf("sent all the same: %+v", m)
			default:
			}
		})
	}
}

// A delivery ends with its context, whatever the server does.
func TestMailEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := newSMTPServer(t, false, func(s *smtpServer) { s.hang = make(chan struct{}) })
	cfg := server.config()
	cfg.Timeout = 10 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := newTestMail(t, cfg, nil).Deliver(ctx, mailbox("mailto:ada@example.com", `{}`), mailNotice(`1`))
	if f := failureIn(t, err); !f.Down || f.Final {
		t.Errorf("%+v", f)
	}
}

func TestMailOptions(t *testing.T) {
	t.Parallel()
	server := newSMTPServer(t, false, nil)
	sink := newTestMail(t, server.config(), nil)
	for _, test := range []struct{ subscriber, options, from, sender, subject string }{
		{"mailto:ada@example.com", `{}`, "nusku@example.com", "", "Message in queue orders"},
		{"mailto:ada@example.com", `{"subject": "Ça va?", "from": "Shop <shop@example.org>"}`, "shop@example.org", "nusku@example.com", "Ça va?"},
		{"mailto:ada@example.com?Subject=Of+the+URI", `{"subject": "of the options"}`, "nusku@example.com", "", "Of the URI"},
		{"mailto:ada@example.com", `{"subject": 7, "from": ["x"], "other": {}}`, "nusku@example.com", "", "Message in queue orders"},
	} {
		if err := sink.Deliver(t.Context(), mailbox(test.subscriber, test.options), mailNotice(`1`)); err != nil {
			t.Fatal(err)
		}
		m := <-server.mails
		from, err := mail.ParseAddress(m.Header.Get("From"))
		if err != nil {
			t.Fatal(err)
		}
		if m.from != "nusku@example.com" || from.Address != test.from || !strings.Contains(m.Header.Get("Sender"), test.sender) ||
			(test.sender == "") != (m.Header.Get("Sender") == "") || m.Header.Get("Subject") != test.subject {
			t.Errorf("%s %s: envelope from %s, header %v", test.subscriber, test.options, m.from, m.Header)
		}
	}
}

// Nothing that a client chooses gets a line of its own into a mail's header or into the SMTP session.
func TestMailHeaderInjection(t *testing.T) {
	t.Parallel()
	server := newSMTPServer(t, false, nil)
	sink := newTestMail(t, server.config(), nil)
	for _, test := range []struct{ subscriber, options string }{
		{"mailto:ada@example.com?subject=a%0d%0aBcc:%20eve@example.com", `{}`},
		{"mailto:ada@example.com?subject=a%0aBcc:%20eve@example.com", `{}`},
		{"mailto:ada%0d%0aRCPT%20TO:%3ceve@example.com%3e@example.com", `{}`},
		{"mailto:ada@example.com", `{"subject": "a\r\nBcc: eve@example.com"}`},
		{"mailto:ada@example.com", `{"from": "x@example.org\r\nBcc: eve@example.com"}`},
		{"mailto:ada@example.com", `{"from": "\"a\nBcc: eve@example.com\" <x@example.org>"}`},
		{"mailto:ada@example.com", `{"from": "=?utf-8?q?a=0aBcc:eve?= <x@example.org>"}`},
	} {
		err := sink.Deliver(t.Context(), mailbox(test.subscriber, test.options), mailNotice(`1`))
		if err == nil || !failureIn(t, err).Final {
			t.Errorf("%s %s: %v", test.subscriber, test.options, err)
		}
	}
	d := mailbox("mailto:ada@example.com", `{}`)
	d.Subscription.Queue.Project = "shop\r\nBcc: eve@example.com"
	n := Notice{ID: "x\r\nBcc: eve", Confirmation: &Confirmation{Page: "https://mq.example.com/", Expires: "2026-01-31T12:00:00"}}
	if err := sink.Deliver(t.Context(), d, n); err != nil {
		t.Fatal(err)
	}
	m := <-server.mails
	if m.Header.Get("Bcc") != "" || len(m.to) != 1 {
		t.Errorf("injected: %v to %v", m.Header, m.to)
	}
	select {
	case m := <-server.mails:
		t.Errorf("sent: %s", m.raw)
	default:
	}
}

func TestMailOfOtherNotices(t *testing.T) {
	t.Parallel()
	server := newSMTPServer(t, false, nil)
	sink := newTestMail(t, server.config(), fixedLink("http://127.0.0.1:8888/confirm?y"))
	page := Confirmation{Page: "https://mq.example.com/confirm?z=1&y=2", Expires: "2026-01-31T12:00:00"}
	for _, test := range []struct {
		notice  Notice
		subject string
		body    []string
	}{
		{Notice{Gap: &protocol.Gap{From: 3, To: 5, Reason: protocol.GapExpired}}, "Messages missed in topic orders", []string{"3 to 5 (expired)", "http://127.0.0.1:8888/confirm?y"}},
		{Notice{Confirmation: &page}, "Please confirm: messages of the topic orders", []string{page.Page, "2026-01-31 12:00:00 UTC", "project shop"}},
	} {
		d := mailbox("mailto:ada@example.com?subject=hidden", `{"from": "bank@example.org"}`)
		d.Subscription.Queue.Name = protocol.TopicPrefix + "orders"
		if err := sink.Deliver(t.Context(), d, test.notice); err != nil {
			t.Fatal(err)
		}
		m := <-server.mails
		body := bodyOf(t, m)
		if test.notice.Confirmation != nil && (m.Header.Get("Subject") != test.subject || !strings.Contains(m.Header.Get("From"), "nusku@example.com")) {
			t.Errorf("header %v, want subject %q", m.Header, test.subject)
		}
		if m.Header.Get("List-Unsubscribe") != "<http://127.0.0.1:8888/confirm?y>" || m.Header.Get("List-Unsubscribe-Post") != "" {
			t.Errorf("one click without https: %v", m.Header)
		}
		for _, want := range test.body {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %q", test.subject, want, body)
			}
		}
	}
}

func TestMailTemplates(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(folder, "message.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := newSMTPServer(t, false, nil)
	cfg := server.config()
	cfg.Templates = folder
	write(`{{define "subject"}}{{.Project}}/{{.Queue}}{{end}}{{define "body"}}{{.JSON}}{{end}}`)
	if err := newTestMail(t, cfg, nil).Deliver(t.Context(), mailbox("mailto:ada@example.com", `{}`), mailNotice(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	m := <-server.mails
	if body := bodyOf(t, m); m.Header.Get("Subject") != "shop/orders" ||
		body != `{"ttl": 300, "body": {"n":1}, "Message_Type": "Notification", "queue_name": "orders"}`+"\n" &&
			body != `{"ttl":300,"body":{"n":1},"Message_Type":"Notification","queue_name":"orders"}`+"\n" {
		t.Errorf("%v %q", m.Header, body)
	}
	for _, text := range []string{`{{define "subject"}}`, `{{define "subject"}}x{{end}}`, `{{define "subject"}}{{.Nope}}{{end}}{{define "body"}}{{end}}`} {
		write(text)
		if _, err := NewMail(cfg, nil); err == nil {
			t.Errorf("a template that cannot work is taken: %s", text)
		}
	}
	cfg.Templates = filepath.Join(folder, "missing")
	if _, err := NewMail(cfg, nil); err == nil {
		t.Error("a folder that is not there is taken")
	}
}

func TestMailConfigCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*MailConfig){
		"both":             func(c *MailConfig) { c.Command = "sendmail" },
		"port":             func(c *MailConfig) { c.Port = 0 },
		"tls":              func(c *MailConfig) { c.TLS = "maybe" },
		"password alone":   func(c *MailConfig) { c.Password = "x" },
		"password in open": func(c *MailConfig) { c.User, c.Password, c.TLS = "u", "p", MailTLSNone },
		"no sender":        func(c *MailConfig) { c.From = "" },
		"bad sender":       func(c *MailConfig) { c.From = "nobody" },
		"timeout":          func(c *MailConfig) { c.Timeout = 0 },
		"host":             func(c *MailConfig) { c.Host = "a b" },
		"ca file":          func(c *MailConfig) { c.CAFile = "/nonexistent" },
	} {
		c := DefaultMailConfig()
		c.Host, c.From = "mail.example.com", "a@example.com"
		change(&c)
		if _, err := NewMail(c, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	c := DefaultMailConfig()
	if c.Check() != nil || c.Enabled() {
		t.Error("the defaults are not: no mail")
	}
	if _, err := NewMail(c, nil); err == nil {
		t.Error("mail without a way to send it")
	}
}
