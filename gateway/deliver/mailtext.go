package deliver

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

//go:embed templates/*.txt
var builtinTemplates embed.FS

// MailData is what the templates of mails are filled in with.
type MailData struct {
	// Queue and Project are those that the mail is about; Topic says that it is a topic rather than a queue.
	Queue, Project string
	Topic          bool
	// Subscriber is the subscriber's URI.
	Subscriber string
	// ID, TTL (in seconds) and Text are the message's: Text is its body, a string as it is and everything else as indented
	// JSON. JSON is the whole as webhooks get it, which is what Zaqar mails.
	ID, Text, JSON string
	TTL            int32
	// From, To and Reason are a gap's: the numbers of the messages that are missing, and why.
	From, To int64
	Reason   string
	// Page is where a person confirms, until Expires.
	Page, Expires string
	// Unsubscribe is the page to end the subscription; "" if there is none.
	Unsubscribe string
}

// mailText is a filled-in template.
type mailText struct{ subject, body string }

// mailTexts are the templates by what the mail tells. Each defines "subject" and "body".
type mailTexts struct {
	message, gap, confirm *template.Template
}

// loadMailTexts reads the templates, those in folder first; "" for none. Each is tried out, so that a mistake shows at
// the start.
func loadMailTexts(folder string) (*mailTexts, error) {
	t := new(mailTexts)
	for name, into := range map[string]**template.Template{
		"message.txt": &t.message, "gap.txt": &t.gap, "confirm.txt": &t.confirm,
	} {
		source, err := readTemplate(folder, name)
		if err != nil {
			return nil, err
		}
		if *into, err = template.New(name).Option("missingkey=error").Parse(source); err != nil {
			return nil, fmt.Errorf("mail template %s: %w", name, err)
		}
		if _, err := fillIn(*into, sampleMail()); err != nil {
			return nil, fmt.Errorf("mail template %s: %w", name, err)
		}
	}
	return t, nil
}

// readTemplate returns the file of that name in folder, or the built-in one.
func readTemplate(folder, name string) (string, error) {
	if folder != "" {
		source, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			return string(source), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read a mail template: %w", err)
		}
		if _, err := os.Stat(folder); err != nil {
			return "", fmt.Errorf("read the mail templates: %w", err)
		}
	}
	source, err := builtinTemplates.ReadFile("templates/" + name)
	return string(source), err
}

// sampleMail has every field filled in.
func sampleMail() *MailData {
	return &MailData{
		Queue: "orders", Project: "shop", Subscriber: "mailto:someone@example.com", ID: uuid.Nil.String(), Text: "text",
		JSON: "{}", TTL: 3600, From: 1, To: 2, Reason: "expired", Page: "https://mq.example.com/confirm",
		Expires: "2026-01-31 12:00:00 UTC", Unsubscribe: "https://mq.example.com/confirm",
	}
}

// fillIn executes both parts of a template.
func fillIn(t *template.Template, data *MailData) (text mailText, err error) {
	var out bytes.Buffer
	if err = t.ExecuteTemplate(&out, "subject", data); err != nil {
		return text, err
	}
	text.subject = oneLine(out.String())
	out.Reset()
	err = t.ExecuteTemplate(&out, "body", data)
	text.body = strings.TrimSpace(out.String()) + "\n"
	return text, err
}

// oneLine makes one line of a text that may hold whatever a project's name may hold, short enough for a subject.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return r == ' ' || !printable(string(r))
	}), " ")
	if runes := []rune(text); len(runes) > maxSubjectRunes {
		text = string(runes[:maxSubjectRunes-1]) + "…"
	}
	return text
}

// text fills in the template that fits a notice.
func (s *Mail) text(sub *protocol.Subscription, n Notice) (mailText, error) {
	data := &MailData{
		Queue: sub.Queue.ShownName(), Project: sub.Queue.Project, Topic: sub.Queue.IsTopic(), Subscriber: sub.Subscriber,
	}
	if s.links != nil {
		data.Unsubscribe = s.links.UnsubscribeLink(sub)
	}
	switch {
	case n.Message != nil:
		if err := data.message(n.Message); err != nil {
			return mailText{}, err
		}
		return fillIn(s.texts.message, data)
	case n.Gap != nil:
		data.From, data.To, data.Reason = n.Gap.From, n.Gap.To, string(n.Gap.Reason)
		return fillIn(s.texts.gap, data)
	case n.Confirmation == nil:
		return mailText{}, errors.New("an empty notice")
	}
	data.Page, data.Expires = n.Confirmation.Page, shownExpires(n.Confirmation.Expires)
	return fillIn(s.texts.confirm, data)
}

// message fills in what is a message's.
func (d *MailData) message(m *protocol.Message) error {
	body, err := protocol.Transcode(nil, m.Body, m.Codec, protocol.JSON)
	if err != nil {
		return err
	}
	d.ID, d.TTL = m.ID.String(), m.TTL
	var text string
	if json.Unmarshal(body, &text) == nil {
		d.Text = text
	} else {
		var out bytes.Buffer
		if err := json.Indent(&out, body, "", "  "); err != nil {
			return err
		}
		d.Text = out.String()
	}
	w := protocol.Writer{Codec: protocol.JSON}
	protocol.AppendNotification(&w, d.Queue, m, false)
	d.JSON = string(w.Buf)
	return nil
}

// shownExpires is a time of expiry as people read it.
func shownExpires(text string) string {
	t, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		return text
	}
	return t.Format("2006-01-02 15:04:05 UTC")
}
