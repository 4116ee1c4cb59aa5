package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/gateway/auth"
	"github.com/nusku-messaging/nusku/protocol"
)

// The page on which a person confirms or ends a subscription. It is reached by the link in a message to the subscriber,
// whose query is a signed URL. Opening it changes nothing, because programs that look through mails open links: what
// counts is the button, which sends a form, and the one-click request of RFC 8058. It needs no JavaScript.

//go:embed templates/confirm.html
var confirmHTML string

//go:embed templates/confirm.css
var confirmCSS string

var confirmTemplate = template.Must(template.New("confirm").Parse(confirmHTML))

// confirmPolicy allows the page its own style and its own form, and nothing else.
var confirmPolicy = func() string {
	sum := sha256.Sum256([]byte(confirmCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// confirmView is what the page shows.
type confirmView struct {
	Title, Text string
	// Fault marks a page that tells of an error.
	Fault bool
	// Kind, Queue, Project and Subscriber say what the page is about; without a Subscriber they are not shown.
	Kind, Queue, Project, Subscriber string
	// Actions are the buttons, the likeliest first.
	Actions []confirmAction
	Expires string
	Style   template.CSS
}

// confirmAction is a button and the value of "confirmed" that it sends.
type confirmAction struct{ Value, Label string }

var (
	actionConfirm     = confirmAction{"true", "Yes, send me the messages"}
	actionUnsubscribe = confirmAction{"false", "Unsubscribe"}
)

// maxConfirmForm bounds the form that the page sends. Bytes.
const maxConfirmForm = 4 << 10

// serveConfirmPage answers requests to confirmPath. The database is asked only for links that are good.
func (g *Gateway) serveConfirmPage(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		g.showConfirm(w, http.StatusMethodNotAllowed, faultView("This cannot be done here", "The page takes GET and POST."))
		return
	}
	link, view, status := g.openConfirmLink(r)
	if link == nil {
		g.showConfirm(w, status, view)
		return
	}
	var answer string
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxConfirmForm)
		if answer = confirmAnswer(r); answer == "" {
			g.showConfirm(w, http.StatusBadRequest, faultView("This was not understood", "Go back and use the button."))
			return
		}
	}
	status, view = g.carryConfirm(r, link, answer)
	g.showConfirm(w, status, view)
}

// carryConfirm asks or does what needs the database.
func (g *Gateway) carryConfirm(r *http.Request, link *confirmLink, answer string) (int, confirmView) {
	ctx, cancel := context.WithTimeout(r.Context(), g.cfg.RequestTimeout)
	defer cancel()
	closed := g.rest.openPage(ctx, r)
	if closed == nil {
		return http.StatusServiceUnavailable, faultView("Please try again in a moment", "The gateway has too much to do just now.")
	}
	defer closed()
	if answer == "" {
		return g.askConfirm(ctx, link)
	}
	return g.decideConfirm(ctx, link, answer == "true")
}

// confirmAnswer reads the form that the page, or a mail program, has sent: "true", "false", or "" if it says neither.
func confirmAnswer(r *http.Request) string {
	if err := r.ParseForm(); err != nil {
		return ""
	}
	if r.PostForm.Get("List-Unsubscribe") == "One-Click" { // a mail program, by RFC 8058
		return "false"
	}
	if answer := r.PostForm.Get("confirmed"); answer == "true" || answer == "false" {
		return answer
	}
	return ""
}

// confirmLink is what a link stands for.
type confirmLink struct {
	key protocol.QueueKey
	id  uuid.UUID
	url auth.URL
	// leaving says that the link is there to unsubscribe.
	leaving bool
}

// openConfirmLink reads the link by which the page was reached. link is nil if it is not good, and view and status say so.
func (g *Gateway) openConfirmLink(r *http.Request) (link *confirmLink, view confirmView, status int) {
	query := r.URL.Query()
	link = &confirmLink{leaving: query.Get("Confirmed") == "false"}
	path := query.Get("Paths")
	err := link.parsePath(path, query.Get("Project"))
	if err == nil {
		link.url, err = auth.Verify(g.cfg.Links.key(), auth.Presented{
			Signature: query.Get("Signature"), Expires: query.Get("Expires"), Project: query.Get("Project"),
			Paths: []string{path}, Methods: strings.Split(query.Get("Methods"), ","),
		}, time.Now())
	}
	if err == nil && !link.url.Allows(confirmMethod, path) {
		err = errUncovered
	}
	switch {
	case err == nil:
		return link, view, 0
	case errors.Is(err, auth.ErrExpired):
		return nil, faultView("This link has expired", "Ask whoever runs the queue to subscribe you again: you then get a new link."), http.StatusGone
	}
	g.log.Debug().Err(err).Msg("link of a confirmation refused")
	return nil, faultView("This link is not valid", "Some of it may be missing: copy all of it from the message that you got."), http.StatusNotFound
}

// parsePath takes the path of a subscription's confirmation apart.
func (l *confirmLink) parsePath(path, project string) error {
	parts := strings.Split(path, "/")
	if len(parts) != 7 || parts[1] != "v2" || parts[4] != "subscriptions" || parts[6] != "confirm" {
		return fmt.Errorf("%q is not the path of a confirmation", path)
	}
	name, err := url.PathUnescape(parts[3])
	if err != nil {
		return fmt.Errorf("the queue's name in a link: %w", err)
	}
	switch parts[2] {
	case "queues":
	case "topics":
		name = protocol.TopicPrefix + name
	default:
		return fmt.Errorf("%q is neither a queue's nor a topic's", path)
	}
	l.key = protocol.QueueKey{Project: project, Name: name}
	l.id, err = uuid.Parse(parts[5])
	return err
}

// askConfirm shows what there is to confirm.
func (g *Gateway) askConfirm(ctx context.Context, link *confirmLink) (int, confirmView) {
	sub, err := g.backend.Subscription(ctx, link.key, link.id)
	if err != nil {
		return g.confirmFault(err)
	}
	view := link.view(sub)
	switch {
	case link.leaving:
		view.Title, view.Text = "Unsubscribe?", "No further messages are sent to you then."
		view.Actions = []confirmAction{actionUnsubscribe}
	case sub.Confirmed:
		view.Title, view.Text = "You have confirmed this", "The messages are being sent to you."
		view.Actions = []confirmAction{actionUnsubscribe}
	default:
		view.Title = "Do you want these messages?"
		view.Text = "Somebody has asked for them to be sent to you. Nothing is sent unless you say yes."
		view.Actions = []confirmAction{actionConfirm}
	}
	return http.StatusOK, view
}

// decideConfirm does what the form says.
func (g *Gateway) decideConfirm(ctx context.Context, link *confirmLink, confirmed bool) (int, confirmView) {
	sub, err := g.backend.Subscription(ctx, link.key, link.id)
	if err == nil {
		err = g.settleConfirm(ctx, sub, confirmed)
	}
	if err != nil {
		return g.confirmFault(err)
	}
	view := link.view(sub)
	view.Title, view.Text = "Thank you", "The messages are sent to you from now on."
	if !confirmed {
		view.Title, view.Text = "You are unsubscribed", "No further messages are sent to you."
	}
	return http.StatusOK, view
}

// settleConfirm notes what the subscriber wants. Where no confirmation is required, who has not confirmed is sent messages
// all the same: then only the end of the subscription keeps them away.
func (g *Gateway) settleConfirm(ctx context.Context, sub *protocol.Subscription, confirmed bool) error {
	if !confirmed && !g.confirms() {
		return g.backend.DeleteSubscription(ctx, sub.Queue, sub.ID)
	}
	return g.backend.ConfirmSubscription(ctx, sub.Queue, sub.ID, confirmed)
}

// view says what the page is about.
func (l *confirmLink) view(sub *protocol.Subscription) confirmView {
	view := confirmView{
		Kind: "Queue", Queue: l.key.ShownName(), Project: l.key.Project, Subscriber: shownSubscriber(sub.Subscriber),
		Expires: l.url.Expires.Format("2006-01-02 15:04"),
	}
	if l.key.IsTopic() {
		view.Kind = "Topic"
	}
	return view
}

// shownSubscriber is an address without what may be a secret: a webhook's password, path and query.
func shownSubscriber(subscriber string) string {
	u, err := url.Parse(subscriber)
	switch {
	case err != nil:
		return "(an address that cannot be shown)"
	case u.Opaque != "":
		return u.Opaque
	}
	return u.Scheme + "://" + u.Host
}

// confirmFault is the page for an error of the store.
func (g *Gateway) confirmFault(err error) (int, confirmView) {
	if errors.Is(err, protocol.ErrNoSubscription) || errors.Is(err, protocol.ErrNoQueue) {
		return http.StatusNotFound, faultView("This subscription is over", "It has ended or was deleted: nothing is sent to you.")
	}
	g.log.Error().Err(err).Msg("confirmation page failed")
	return http.StatusServiceUnavailable, faultView("Please try again in a moment", "The gateway cannot reach its database just now.")
}

func faultView(title, text string) confirmView {
	return confirmView{Title: title, Text: text, Fault: true}
}

// showConfirm writes the page.
func (g *Gateway) showConfirm(w http.ResponseWriter, status int, view confirmView) {
	view.Style = template.CSS(confirmCSS) //nolint:gosec // our own
	var page bytes.Buffer
	if err := confirmTemplate.Execute(&page, view); err != nil {
		g.log.Error().Err(err).Msg("confirmation page failed")
		writeText(w, http.StatusInternalServerError, "Internal error.\n")
		return
	}
	h := w.Header()
	for key, value := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Content-Security-Policy": confirmPolicy,
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
	} {
		h.Set(key, value)
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // nobody is left to be told if the client is gone
}
