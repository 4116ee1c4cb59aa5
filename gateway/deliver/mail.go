package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/nusku-messaging/nusku/protocol"
)

// Unsubscriber gives the address of a page on which the subscriber ends a subscription, by one click (RFC 8058) if it is
// https; "" if there is none. It is safe for concurrent use.
type Unsubscriber interface {
	UnsubscribeLink(sub *protocol.Subscription) string
}

// Mail is the Sink of mailto subscribers.
type Mail struct {
	from      *mail.Address
	texts     *mailTexts
	transport transport
	links     Unsubscriber
}

// transport sends one mail. What it returns is a *Failure or nil.
type transport interface {
	// name is the endpoint, as Sink has it.
	name() string
	send(ctx context.Context, m *gomail.Msg) error
}

// NewMail returns the sink that cfg asks for. links may be nil. The error is a setting that cannot be used.
func NewMail(cfg MailConfig, links Unsubscriber) (*Mail, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if !cfg.Enabled() {
		return nil, errors.New("deliver: mail: neither Host nor Command is set")
	}
	from, err := parseSender(cfg.From)
	if err != nil {
		return nil, fmt.Errorf("deliver: mail: From: %w", err)
	}
	s := &Mail{from: from, links: links}
	if s.texts, err = loadMailTexts(cfg.Templates); err != nil {
		return nil, err
	}
	if cfg.Command != "" {
		s.transport, err = newMailCommand(cfg)
	} else {
		s.transport, err = newSMTP(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("deliver: mail: %w", err)
	}
	return s, nil
}

// Endpoint is the mail server, or the command.
func (s *Mail) Endpoint(subscriber string) (string, error) {
	if _, err := ParseMailto(subscriber); err != nil {
		return "", err
	}
	return s.transport.name(), nil
}

// Deliver sends one mail.
func (s *Mail) Deliver(ctx context.Context, d *protocol.Durable, n Notice) error {
	m, err := s.compose(d, n)
	if err != nil {
		return err
	}
	return s.transport.send(ctx, m)
}

// mailOptions are the options of a subscription that mails know, as in Zaqar.
type mailOptions struct {
	From, Subject string
}

// readMailOptions ignores what is no text, as it does all other options.
func readMailOptions(options []byte) (o mailOptions) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(options, &fields) != nil {
		return o
	}
	for name, into := range map[string]*string{"from": &o.From, "subject": &o.Subject} {
		if fields[name] != nil && json.Unmarshal(fields[name], into) != nil {
			*into = ""
		}
	}
	return o
}

// compose writes the mail. Its error is a *Failure that is final.
func (s *Mail) compose(d *protocol.Durable, n Notice) (*gomail.Msg, error) {
	sub := &d.Subscription
	to, err := ParseMailto(sub.Subscriber)
	if err != nil {
		return nil, unsendable("the subscriber is not a mail address", err)
	}
	options := readMailOptions(sub.Options)
	text, err := s.text(sub, n)
	if err != nil {
		return nil, unsendable("the mail could not be written", err)
	}
	if n.Message != nil {
		// A subject of the subscription's own is for its messages: what asks a person to confirm is not to be dressed up.
		text.subject = firstText(to.Subject, options.Subject, text.subject)
	}
	subject, err := checkSubject(text.subject)
	if err != nil {
		return nil, unsendable("the subject cannot be sent", err)
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := s.address(m, to, options, n); err != nil {
		return nil, err
	}
	m.Subject(subject)
	m.SetDate()
	m.SetMessageIDWithValue(s.messageID(sub, n))
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	s.setUnsubscribe(m, sub)
	m.SetBodyString(gomail.TypeTextPlain, text.body)
	return m, nil
}

// address fills in whom the mail is from and to. A sender of the subscription's own shows in From only: the envelope and
// Sender say who really sends.
func (s *Mail) address(m *gomail.Msg, to *Mailto, options mailOptions, n Notice) error {
	from := s.from
	if options.From != "" && n.Message != nil {
		var err error
		if from, err = parseSender(options.From); err != nil {
			return unsendable("the option from is not a mail address", err)
		}
		m.SetGenHeaderPreformatted("Sender", s.from.String())
	}
	m.EnvelopeFromMailAddress(s.from)
	m.FromMailAddress(from)
	list := make([]*mail.Address, len(to.To))
	for i, address := range to.To {
		list[i] = &mail.Address{Address: address}
	}
	m.ToMailAddress(list...)
	return nil
}

// messageID is the same whenever a notice is sent again, so that mail systems can drop what comes twice.
func (s *Mail) messageID(sub *protocol.Subscription, n Notice) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, n.ID)
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return id + "." + sub.ID.String() + "@" + domain
}

// setUnsubscribe tells mail programs how to end the subscription.
func (s *Mail) setUnsubscribe(m *gomail.Msg, sub *protocol.Subscription) {
	if s.links == nil {
		return
	}
	link := s.links.UnsubscribeLink(sub)
	if link == "" || m.SetListUnsubscribeOneClick(link) == nil {
		return
	}
	m.SetListUnsubscribe(link) // without one click, which RFC 8058 has for https only
}

// unsendable is the failure of a mail that no server would make better.
func unsendable(reason string, cause error) *Failure {
	return &Failure{Reason: reason, Final: true, Cause: cause}
}

func firstText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
