package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// What clients are told to wait before they try again.
const (
	retryUnavailable = 2 * time.Second
	retryOverloaded  = time.Second
	retryStopping    = time.Second
)

// fault is an error of the store, and what the client is told of it.
type fault struct {
	is   error
	wire func(req *protocol.Request, lim *protocol.Limits, err error) *protocol.Error
}

// faults are those of queues, messages, claims and subscriptions, and those that any action may meet. The first that
// matches counts, then those of poolFaults and timeFaults.
var faults = []fault{
	{protocol.ErrNoQueue, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorQueueMissing(req.Queue())
	}},
	{protocol.ErrNoMessage, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorMessageMissing(req.Queue(), req.Fields.MessageID)
	}},
	{protocol.ErrNoClaim, claimMissing},
	{protocol.ErrClaimed, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorMessageClaimed(deletedID(req))
	}},
	{protocol.ErrNotClaimedBy, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorMessageNotClaimedBy(deletedID(req), req.Fields.ClaimID)
	}},
	{protocol.ErrNotClaimed, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorMessageNotClaimed(deletedID(req))
	}},
	{protocol.ErrNoSubscription, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorSubscriptionMissing(req.Queue().ShownName(), req.Fields.SubscriptionID)
	}},
	{protocol.ErrSubscriptionExists, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorSubscriptionExists(req)
	}},
	{protocol.ErrTooManyConfirmations, tooManyConfirmations},
	{protocol.ErrDeadLetterPool, func(_ *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return &protocol.Error{
			Status: 400, Kind: protocol.KindAction, Code: "dead_letter_pool", Cause: err,
			Exception: "The queue and its _dead_letter_queue have to be in the same pool: give both the same _flavor.",
		}
	}},
	{protocol.ErrPostTooLarge, func(_ *protocol.Request, lim *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorPostTooLarge(lim.MaxPostBytes)
	}},
	{protocol.ErrOutcomeUnknown, func(_ *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorOutcomeUnknown(retryUnavailable, err)
	}},
	{protocol.ErrUnavailable, func(_ *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorUnavailable(retryUnavailable, err)
	}},
	{protocol.ErrOverloaded, func(_ *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorOverloaded(retryOverloaded, err)
	}},
	{protocol.ErrStopping, func(*protocol.Request, *protocol.Limits, error) *protocol.Error {
		return protocol.ErrorStopping(retryStopping)
	}},
}

// timeFaults are told where nothing else is: what failed for another reason may have been cut off, too, like the
// connection to a pool.
var timeFaults = []fault{
	{context.DeadlineExceeded, timedOut},
	{context.Canceled, timedOut},
}

// faultOf maps an error of the store to what the client is told; known is false for an error that is none of them. What
// is to be told already, because a handler's own function has failed inside the store, stays as it is.
func faultOf(req *protocol.Request, lim *protocol.Limits, err error) (e *protocol.Error, known bool) {
	if errors.As(err, &e) {
		return e, true
	}
	for _, table := range [][]fault{faults, poolFaults, timeFaults} {
		for _, f := range table {
			if errors.Is(err, f.is) {
				return f.wire(req, lim, err), true
			}
		}
	}
	return protocol.ErrorInternal(err), false
}

// wireError maps an error of the store to what the client is told, and logs those that nobody expects.
func (g *Gateway) wireError(c *call, err error) *protocol.Error {
	e, known := faultOf(&c.req, &g.cfg.Limits, err)
	if !known {
		g.log.Error().Err(err).Str("action", c.req.ActionName).Msg("action failed")
	}
	return e
}

// tooManyConfirmations: whoever subscribes others again and again has to wait.
func tooManyConfirmations(_ *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
	return &protocol.Error{
		Status: 429, Kind: protocol.KindAction, Code: "too_many_confirmations", Outcome: protocol.OutcomeNothing,
		Exception: "As many requests for confirmation as may be sent in an hour were sent " + protocol.DetailOf(err) + ".",
	}
}

// claimMissing: deleting a message with a claim that is over is the client's fault, asking for the claim is not.
func claimMissing(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
	if req.Action.Class == protocol.ClassDelete {
		return protocol.ErrorDeleteClaimMissing(req.Queue(), req.Fields.ClaimID)
	}
	return protocol.ErrorClaimMissing(req.Queue(), req.Fields.ClaimID)
}

// deletedID is the message that message_delete names. message_delete_many does not say which of its messages made it
// fail.
func deletedID(req *protocol.Request) string {
	if len(req.Fields.MessageIDs) > 0 {
		return req.Fields.MessageIDs[0]
	}
	return req.Fields.MessageID
}

// timedOut: a read that took too long changed nothing; a write may have happened.
func timedOut(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
	if req.Action.Class == protocol.ClassRead || req.Action.Class == protocol.ClassSession {
		return protocol.ErrorUnavailable(retryUnavailable, err)
	}
	return protocol.ErrorOutcomeUnknown(retryUnavailable, err)
}
