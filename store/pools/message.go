package pools

import (
	"context"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Messages lists a page of a queue's messages; see store.Store.Messages.
func (r *Router) Messages(ctx context.Context, key protocol.QueueKey, page protocol.MessagePage) (list []protocol.Message, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		list, err = st.Messages(ctx, key, page)
		return err
	})
	return list, err
}

// Message returns one message; see store.Store.Message.
func (r *Router) Message(ctx context.Context, key protocol.QueueKey, id string) (message *protocol.Message, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		message, err = st.Message(ctx, key, id)
		return err
	})
	return message, err
}

// MessageNumber returns the number of a message that was in the inbox; see store.Store.MessageNumber.
func (r *Router) MessageNumber(ctx context.Context, key protocol.QueueKey, id protocol.MessageID) (n int64, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		n, err = st.MessageNumber(ctx, key, id)
		return err
	})
	return n, err
}

// MessagesByID returns messages by their ids; see store.Store.MessagesByID.
func (r *Router) MessagesByID(ctx context.Context, key protocol.QueueKey, ids []string) (list []protocol.Message, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		list, err = st.MessagesByID(ctx, key, ids)
		return err
	})
	return list, err
}

// PopMessages takes messages out of a queue; see store.Store.PopMessages.
func (r *Router) PopMessages(ctx context.Context, key protocol.QueueKey, limit int) (list []protocol.Message, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		list, err = st.PopMessages(ctx, key, limit)
		return err
	})
	return list, err
}

// ClaimByID returns a live claim; see store.Store.ClaimByID.
func (r *Router) ClaimByID(ctx context.Context, key protocol.QueueKey, claimID string) (claim *protocol.Claim, err error) {
	err = r.at(ctx, key, func(_ int64, st *store.Store) error {
		claim, err = st.ClaimByID(ctx, key, claimID)
		return err
	})
	return claim, err
}

// RenewClaim makes a claim last longer; see store.Store.RenewClaim.
func (r *Router) RenewClaim(ctx context.Context, key protocol.QueueKey, claimID string, ttl, grace int32) error {
	return r.at(ctx, key, func(_ int64, st *store.Store) error { return st.RenewClaim(ctx, key, claimID, ttl, grace) })
}

// ReleaseClaim ends a claim; see store.Store.ReleaseClaim.
func (r *Router) ReleaseClaim(ctx context.Context, key protocol.QueueKey, claimID string) error {
	return r.at(ctx, key, func(_ int64, st *store.Store) error { return st.ReleaseClaim(ctx, key, claimID) })
}
