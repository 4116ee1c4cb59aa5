package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nusku-messaging/nusku/protocol"
)

// modelMessage is what the reference model knows of one message.
type modelMessage struct {
	id     protocol.MessageID
	gone   bool   // deleted, popped or expired
	holder string // the live claim's id
	claims int32  // claims ever made of it
}

// claimModel is the reference: what may be claimed, and who holds what.
type claimModel struct {
	messages []*modelMessage
	issued   []string // claim ids ever given out
}

func (m *claimModel) free() (free []*modelMessage) {
	for _, message := range m.messages {
		if !message.gone && message.holder == "" {
			free = append(free, message)
		}
	}
	return free
}

func (m *claimModel) held(claim string) (held []*modelMessage) {
	for _, message := range m.messages {
		if !message.gone && message.holder == claim {
			held = append(held, message)
		}
	}
	return held
}

func (m *claimModel) byID(id protocol.MessageID) *modelMessage {
	for _, message := range m.messages {
		if message.id == id {
			return message
		}
	}
	return nil
}

// claimMachine plays random histories on two gateways and compares every answer with the model. Time is moved by
// writing the columns that say when something ends.
type claimMachine struct {
	w      *world
	stores []*Store
	key    protocol.QueueKey
	queue  int64
	// exact says that every search begins at the head, so that a claim gets the oldest messages, all that it may.
	exact bool
	model claimModel
}

func (c *claimMachine) store(t *rapid.T) *Store {
	return rapid.SampledFrom(c.stores).Draw(t, "gateway")
}

func (c *claimMachine) ctx() context.Context { return c.w.t.Context() }

func (c *claimMachine) post(t *rapid.T) {
	n := rapid.IntRange(1, 6).Draw(t, "messages")
	for _, id := range c.w.post(c.store(t), c.key, n) {
		c.model.messages = append(c.model.messages, &modelMessage{id: id})
		c.queue = id.Queue
	}
}

// wantOldest checks messages that were claimed or popped against those that are free.
func (c *claimMachine) wantOldest(t *rapid.T, what string, got []protocol.Message, limit int) []*modelMessage {
	free := c.model.free()
	if len(got) > limit {
		t.Fatalf("%s of %d got %d", what, limit, len(got))
	}
	if len(got) == 0 && len(free) > 0 {
		t.Fatalf("%s got nothing, %d messages are free", what, len(free))
	}
	if c.exact && len(got) != min(limit, len(free)) {
		t.Fatalf("%s of %d got %d, %d messages are free", what, limit, len(got), len(free))
	}
	var taken []*modelMessage
	for i, message := range got {
		known := c.model.byID(message.ID)
		if known == nil || !slices.Contains(free, known) || slices.Contains(taken, known) {
			t.Fatalf("%s got %s, which is not free", what, message.ID)
		}
		if c.exact && known != free[i] {
			t.Fatalf("%s got %s before %s", what, message.ID, free[i].id)
		}
		if i > 0 && got[i-1].Seq >= message.Seq {
			t.Fatalf("%s is out of order:%s", what, seqsOf(got))
		}
		if message.ClaimCount != known.claims {
			t.Fatalf("%s: %s was claimed %d times, want %d", what, message.ID, message.ClaimCount, known.claims)
		}
		taken = append(taken, known)
	}
	return taken
}

func (c *claimMachine) claim(t *rapid.T) {
	limit := rapid.IntRange(1, 8).Draw(t, "limit")
	op := tryClaim(c.store(t), c.key, limit)
	if op.Err != nil {
		t.Fatalf("claim: %v", op.Err)
	}
	for _, message := range c.wantOldest(t, "claim", op.Messages, limit) {
		message.holder = op.ClaimID
		message.claims++
	}
	if op.ClaimID != "" {
		c.model.issued = append(c.model.issued, op.ClaimID)
	}
}

func (c *claimMachine) pop(t *rapid.T) {
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	got, err := c.store(t).PopMessages(c.ctx(), c.key, limit)
	if err != nil {
		t.Fatalf("pop: %v", err)
	}
	for _, message := range c.wantOldest(t, "pop", got, limit) {
		message.gone = true
	}
}

// claimID draws a claim id: one that was given out, live or not.
func (c *claimMachine) claimID(t *rapid.T) string {
	if len(c.model.issued) == 0 {
		t.Skip("no claim yet")
	}
	return rapid.SampledFrom(c.model.issued).Draw(t, "claim")
}

func (c *claimMachine) lives(claim string) bool { return len(c.model.held(claim)) > 0 }

func (c *claimMachine) renew(t *rapid.T) {
	claim := c.claimID(t)
	err := c.store(t).RenewClaim(c.ctx(), c.key, claim, 300, 60)
	if c.lives(claim) && err != nil || !c.lives(claim) && !errors.Is(err, protocol.ErrNoClaim) {
		t.Fatalf("renewal of a claim that lives=%v: %v", c.lives(claim), err)
	}
}

func (c *claimMachine) release(t *rapid.T) {
	claim := c.claimID(t)
	if err := c.store(t).ReleaseClaim(c.ctx(), c.key, claim); err != nil {
		t.Fatalf("release: %v", err)
	}
	for _, message := range c.model.held(claim) {
		message.holder = ""
	}
}

func (c *claimMachine) read(t *rapid.T) {
	claim := c.claimID(t)
	got, err := c.store(t).ClaimByID(c.ctx(), c.key, claim)
	held := c.model.held(claim)
	if len(held) == 0 {
		if !errors.Is(err, protocol.ErrNoClaim) {
			t.Fatalf("claim that is gone: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("live claim: %v", err)
	}
	var want []protocol.MessageID
	for _, message := range held {
		want = append(want, message.id)
	}
	if !slices.Equal(idsOf(got.Messages), want) {
		t.Fatalf("claim holds %v, want %v", idsOf(got.Messages), want)
	}
}

// expireClaim lets the time of a claim pass.
func (c *claimMachine) expireClaim(t *rapid.T) {
	claim := c.claimID(t)
	for _, message := range c.model.held(claim) {
		c.w.exec(`UPDATE message SET claim_expires_at = now() - interval '1 s' WHERE queue_id = $1 AND seq = $2`, c.queue, message.id.N)
		message.holder = ""
	}
}

func (c *claimMachine) message(t *rapid.T) *modelMessage {
	if len(c.model.messages) == 0 {
		t.Skip("no message yet")
	}
	return rapid.SampledFrom(c.model.messages).Draw(t, "message")
}

// expireMessage lets the time of a message pass; a claim on it is no help.
func (c *claimMachine) expireMessage(t *rapid.T) {
	message := c.message(t)
	c.w.exec(`UPDATE message SET expires_at = now() - interval '1 s' WHERE queue_id = $1 AND seq = $2`, c.queue, message.id.N)
	message.gone = true
}

// remove deletes one message by the rules of message_delete.
func (c *claimMachine) remove(t *rapid.T) {
	message, claim := c.message(t), ""
	if len(c.model.issued) > 0 && rapid.Bool().Draw(t, "with a claim") {
		claim = c.claimID(t)
		if message.holder != "" && rapid.Bool().Draw(t, "with its claim") {
			claim = message.holder
		}
	}
	var want error
	var claims []string
	switch {
	case message.gone:
	case claim == "" && message.holder != "":
		want = protocol.ErrClaimed
	case claim != "" && message.holder == "":
		want = protocol.ErrNotClaimed
	case claim != message.holder && c.lives(claim):
		want = protocol.ErrNotClaimedBy
	case claim != message.holder:
		want = protocol.ErrNoClaim
	}
	if claim != "" {
		claims = []string{claim}
	}
	err := remove(c.store(t), c.key, true, []protocol.MessageID{message.id}, claims...)
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("deletion of %+v with claim %q: %v, want %v", *message, claim, err, want)
	}
	if want == nil {
		message.gone = true
	}
}

// removeMany deletes without a fence.
func (c *claimMachine) removeMany(t *rapid.T) {
	var ids []protocol.MessageID
	for range rapid.IntRange(1, 4).Draw(t, "ids") {
		message := c.message(t)
		ids = append(ids, message.id)
		message.gone = true
	}
	if err := remove(c.store(t), c.key, false, ids); err != nil {
		t.Fatalf("delete many: %v", err)
	}
}

func (c *claimMachine) list(t *rapid.T) {
	var want []string
	for _, message := range c.model.free() {
		want = append(want, message.id.String())
	}
	got, err := c.store(t).Messages(c.ctx(), c.key, protocol.MessagePage{Limit: 1000, Echo: true})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var have []string
	for _, id := range idsOf(got) {
		have = append(have, id.String())
	}
	if strings.Join(have, " ") != strings.Join(want, " ") {
		t.Fatalf("list is %v, want %v", have, want)
	}
}

func (c *claimMachine) purge(t *rapid.T) {
	err := c.store(t).PurgeQueue(c.ctx(), c.key, true, false)
	if err != nil && (len(c.model.messages) > 0 || !errors.Is(err, protocol.ErrNoQueue)) {
		t.Fatalf("purge: %v", err)
	}
	for _, message := range c.model.messages {
		message.gone = true
	}
}

// TestClaimModel compares random histories on two gateways of one database with the reference model: with the
// settings as they are, and with every search from the head, where the answers are determined to the last message.
// Observed queues behave the same.
func TestClaimModel(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{false, true} {
		t.Run(fmt.Sprintf("exact=%v", exact), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			settings := func(cfg *Config) {
				cfg.Claims.Slice = 8 // so that these small queues have many slices
				cfg.Claims.Spacing = 5 * time.Millisecond
				if exact {
					cfg.Claims.Rescan, cfg.Claims.Spacing, cfg.Claims.Slice = 0, 0, 8192
				}
			}
			stores := []*Store{w.store("", settings), w.store("", settings)}
			rapid.Check(t, func(t *rapid.T) {
				c := &claimMachine{w: w, stores: stores, key: newKey(), exact: exact}
				if rapid.Bool().Draw(t, "observed") {
					if _, err := stores[0].Head(c.ctx(), c.key); err != nil {
						t.Fatal(err)
					}
				}
				t.Repeat(map[string]func(*rapid.T){
					"post": c.post, "claim": c.claim, "claim more": c.claim, "pop": c.pop, "renew": c.renew, "release": c.release,
					"read": c.read, "expire claim": c.expireClaim, "expire message": c.expireMessage, "delete": c.remove,
					"delete many": c.removeMany, "list": c.list, "purge": c.purge,
				})
			})
		})
	}
}
