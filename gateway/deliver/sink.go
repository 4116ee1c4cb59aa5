package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// Sink delivers to subscribers of one kind, chosen by the scheme of their URI. Its methods may be called concurrently.
type Sink interface {
	// Endpoint names what the deliveries to a subscriber depend on together with those to others: its name is what
	// requests are bounded by and what a circuit breaker watches. It is shown in logs and holds no secrets.
	Endpoint(subscriber string) (string, error)
	// Deliver sends one notice, once. nil means that the other side has taken it. It returns when ctx ends, which is at
	// the latest after Config.RequestTimeout. An error that is no *Failure counts as one with Down set, and its text is not
	// shown to clients. d and what n points to must not be changed or kept.
	Deliver(ctx context.Context, d *protocol.Durable, n Notice) error
}

// Failure is how a delivery failed.
type Failure struct {
	// Reason is shown to clients, in the dead delivery: a short text without secrets, addresses of this network, or
	// what the other side has sent.
	Reason string
	// Down says that the failure is the endpoint's rather than this message's: it counts for the circuit breaker.
	Down bool
	// Final says that it is no use to try again: the message is buried at once.
	Final bool
	// RetryAfter is how long the other side asks to be left alone; 0 if it does not.
	RetryAfter time.Duration
	// Cause is for the log; may be nil.
	Cause error
}

// Error makes Failure an error.
func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Reason
	}
	return fmt.Sprintf("%s: %v", f.Reason, f.Cause)
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// failureOf returns err as a Failure.
func failureOf(err error) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Reason: "no answer in time", Down: true, Cause: err}
	}
	return &Failure{Reason: "not sent", Down: true, Cause: err}
}
