package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrClosed: Close was called.
	ErrClosed = errors.New("client is closed")
	// ErrSlowConsumer: so many pushes wait for Subscription.Next that a request's reply cannot be read. Whether the
	// gateway carried the request out is not known if it had been started.
	ErrSlowConsumer = errors.New("pushes are not consumed fast enough to read replies")
	// ErrSubscribed: this client has a subscription to that queue already.
	ErrSubscribed = errors.New("this client is subscribed to that queue already")
	// ErrUnsubscribed: the subscription was ended by its Close.
	ErrUnsubscribed = errors.New("subscription is closed")
)

// Error is the gateway's refusal of a request.
type Error struct {
	// Action is the refused action and Status its status, 400 or more.
	Action string
	Status int
	// Exception and Text are the gateway's explanation for people; either may be "".
	Exception, Text string
	// RetryAfter is when trying again makes sense; 0 if the gateway did not say.
	RetryAfter time.Duration
	// Outcome is "unknown" when the change may have happened nevertheless.
	Outcome string
}

// Error returns the action, the status and the gateway's explanation.
func (e *Error) Error() string {
	text := e.Exception
	if text == "" {
		text = e.Text
	}
	if e.Outcome != "" {
		text += " (outcome: " + e.Outcome + ")"
	}
	return fmt.Sprintf("%s: %d: %s", e.Action, e.Status, text)
}

// Status returns the status of the *Error that err wraps, 0 if there is none.
func Status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// DisconnectedError ends a request whose connection was lost, or a client that cannot go on.
type DisconnectedError struct {
	// Sent says that the gateway may have received the request, so that its outcome is not known.
	Sent bool
	// Err is why; it wraps a websocket.CloseError if the gateway said so.
	Err error
}

// Error says what was lost and what is known of the outcome.
func (e *DisconnectedError) Error() string {
	if e.Sent {
		return fmt.Sprintf("connection lost before the reply: %v", e.Err)
	}
	return fmt.Sprintf("not connected: %v", e.Err)
}

// Unwrap returns the reason.
func (e *DisconnectedError) Unwrap() error { return e.Err }

// newError makes an Error of a reply's body, which is an object or, for some actions, a sentence.
func newError(action string, status int, body json.RawMessage) *Error {
	e := &Error{Action: action, Status: status}
	var object struct {
		Exception  string  `json:"exception"`
		Error      string  `json:"error"`
		RetryAfter float64 `json:"retry_after"`
		Outcome    string  `json:"outcome"`
	}
	if json.Unmarshal(body, &object) == nil {
		e.Exception, e.Text, e.Outcome = object.Exception, object.Error, object.Outcome
		e.RetryAfter = time.Duration(object.RetryAfter * float64(time.Second))
	} else if json.Unmarshal(body, &e.Text) != nil {
		e.Text = string(body)
	}
	return e
}
