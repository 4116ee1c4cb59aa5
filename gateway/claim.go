package gateway

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"

	"github.com/nusku-messaging/nusku/protocol"
)

// claimCreate handles claim_create. It answers 204 when there is nothing to claim.
func (g *Gateway) claimCreate(c *call) {
	if c.mayWait() {
		g.claimWaiting(c)
		return
	}
	f := &c.req.Fields
	c.claim.Queue = c.key()
	c.claim.Limit, c.claim.TTL, c.claim.Grace = f.Limit, f.TTL, f.Grace
	c.claim.Deadline = c.deadline()
	c.claim.Abandoned = c.abandoned
	c.claim.Waiter = c
	c.finish = finishClaim
	g.backend.Claim(&c.claim)
}

func finishClaim(c *call) {
	if c.mayWait() && c.gw.parking.looked(c) {
		return
	}
	switch {
	case c.state.Load() == callLate && len(c.claim.Messages) > 0:
		c.handler = giveBack
		c.peer.block(c)
	case c.claim.Err != nil && c.refused.Load():
		c.fail(overloaded())
	case c.claim.Err == nil && !c.roomFor(c.claim.Messages):
		c.refused.Store(true)
		c.handler = giveBack
		c.peer.block(c)
	case c.claim.Err != nil:
		c.fail(c.gw.wireError(c, c.claim.Err))
	case len(c.claim.Messages) == 0:
		c.answer(204, (*nothingClaimed)(c))
	default:
		c.answer(201, (*claimAnswer)(c))
	}
}

// nothingClaimed is a call whose claim found no message.
type nothingClaimed call

func (a *nothingClaimed) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	w.Key("claim_id")
	w.String(emptyClaimID(a.claim.ClaimID))
	w.EndMap()
}

func (a *nothingClaimed) resource(x *exchange) { x.empty(204) }

// claimAnswer is a call whose claim holds messages.
type claimAnswer call

func (a *claimAnswer) frame(w *protocol.Writer, c *call) {
	w.BeginMap(2)
	w.Key("claim_id")
	w.String(a.claim.ClaimID)
	w.Key("messages")
	writeMessages(w, a.claim.Messages, a.claim.ClaimID, c.extended())
	w.EndMap()
}

func (a *claimAnswer) resource(x *exchange) {
	x.header("Location", x.queueHref("claims", a.claim.ClaimID))
	x.json(201, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("messages")
		x.messages(w, a.claim.Messages, a.claim.ClaimID)
		w.EndMap()
	})
	x.unsent = (*Gateway).releaseClaim
}

// giveBack releases a claim that came too late for its client, who does not know its id, or for which there is no memory.
var giveBack = &handler{blocking: true, run: func(g *Gateway, c *call) {
	g.releaseClaim(c)
	if c.refused.Load() {
		c.fail(overloaded())
		return
	}
	c.fail(protocol.ErrorOutcomeUnknown(retryUnavailable, errNotEnded))
}}

// releaseClaim releases the claim of a call whose client will not be told of it.
func (g *Gateway) releaseClaim(c *call) {
	// The call's own time is up, and its peer may be gone: the messages are to be free all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.peer.context()), g.cfg.RequestTimeout)
	defer cancel()
	if err := g.backend.ReleaseClaim(ctx, c.key(), c.claim.ClaimID); err != nil && !isMissing(err) {
		g.log.Warn().Err(err).Msg("a claim that nobody was told of was not released: its messages wait for its end")
	}
}

// emptyClaimID returns the id of a claim that holds nothing. Zaqar gives such a claim an id too; ours is a number that
// is too short for a claim's id, so that no use of it ever finds a claim.
func emptyClaimID(id string) string {
	if id != "" {
		return id
	}
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], rand.Uint64())
	binary.BigEndian.PutUint32(b[8:], rand.Uint32())
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// claimGet handles claim_get.
func (g *Gateway) claimGet(c *call) {
	claim, err := g.backend.ClaimByID(c.context(), c.key(), c.req.Fields.ClaimID)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, (*claimFound)(claim))
}

type claimFound protocol.Claim

func (a *claimFound) frame(w *protocol.Writer, c *call) {
	w.BeginMap(3)
	a.writeTimes(w)
	w.Key("messages")
	writeMessages(w, a.Messages, c.req.Fields.ClaimID, c.extended())
	w.EndMap()
}

func (a *claimFound) resource(x *exchange) {
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(4)
		a.writeTimes(w)
		w.Key("messages")
		x.messages(w, a.Messages, x.c.req.Fields.ClaimID)
		w.Key("href")
		w.String(x.path())
		w.EndMap()
	})
}

func (a *claimFound) writeTimes(w *protocol.Writer) {
	w.Key("age")
	w.Int(int64(a.Age))
	w.Key("ttl")
	w.Int(int64(a.TTL))
}

// claimUpdate handles claim_update, the renewal of a claim.
func (g *Gateway) claimUpdate(c *call) {
	f := &c.req.Fields
	if err := g.backend.RenewClaim(c.context(), c.key(), f.ClaimID, f.TTL, f.Grace); err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, textDone("Claim "+f.ClaimID+" updated."))
}

// claimDelete handles claim_delete. A claim that does not exist is released already.
func (g *Gateway) claimDelete(c *call) {
	id := c.req.Fields.ClaimID
	if err := g.backend.ReleaseClaim(c.context(), c.key(), id); err != nil && !isMissing(err) {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, textDone("Claim "+id+" deleted."))
}
