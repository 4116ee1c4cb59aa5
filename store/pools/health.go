package pools

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Queues of health checks have a project and names that no client can ask for, and ids that no catalogue gives: so a pool
// is tried without the catalogue.
const (
	healthProject = ""
	healthPrefix  = "health:"
	firstHealthID = 1 << 62
	// oldHealthAge is the age in seconds of a queue that a check must have left behind.
	oldHealthAge = 120
)

// Health tries real operations on all pools at the same time.
func (r *Router) Health(ctx context.Context) protocol.Health {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.HealthTimeout)
	defer cancel()
	list := r.members.Load()
	members := append([]*member{list.byID[0]}, list.others...)
	health := protocol.Health{Pools: make([]protocol.PoolHealth, len(members))}
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { health.Pools[i] = r.poolHealth(ctx, m) })
	}
	all.Go(func() {
		_, err := r.catalogue.AllPools(ctx)
		health.CatalogReachable = err == nil
	})
	all.Wait()
	return health
}

// poolHealth checks one pool.
func (r *Router) poolHealth(ctx context.Context, m *member) protocol.PoolHealth {
	health := protocol.PoolHealth{Name: m.row.Name, Free: -1, Claimed: -1, Total: -1}
	st := m.store.Load()
	if st == nil {
		return r.unreachable(health, errors.New("it is not connected"))
	}
	// A pool that is frozen must leave time to say so.
	ping, cancel := context.WithTimeout(ctx, r.cfg.HealthTimeout/2)
	defer cancel()
	if err := st.Ping(ping); err != nil {
		return r.unreachable(health, err)
	}
	health.Reachable = true
	r.countVolume(ctx, st, &health)
	t := &trial{
		r: r, st: st, pool: m.row.Name,
		key: protocol.QueueKey{Project: healthProject, Name: healthPrefix + uuid.NewString()},
		id:  firstHealthID + rand.Int64N(firstHealthID),
	}
	health.Operations = t.run(ctx)
	return health
}

// unreachable logs why a pool does not answer, and adds where to find that.
func (r *Router) unreachable(health protocol.PoolHealth, err error) protocol.PoolHealth {
	health.Ref = newRef()
	r.log.Error().Err(err).Str("ref", health.Ref).Str("pool", health.Name).Msg("a health check found a pool that does not answer")
	return health
}

func (r *Router) countVolume(ctx context.Context, st *store.Store, health *protocol.PoolHealth) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.VolumeTimeout)
	defer cancel()
	if claimed, total, err := st.Volume(ctx); err == nil {
		health.Claimed, health.Free, health.Total = claimed, total-claimed, total
	}
}

// trial is the check of one pool.
type trial struct {
	r    *Router
	st   *store.Store
	pool string
	key  protocol.QueueKey
	id   int64

	ids   []protocol.MessageID
	claim *protocol.ClaimOp
}

// trialSteps are the operations, in the order in which Zaqar tries them.
var trialSteps = []struct {
	name string
	do   func(*trial, context.Context) error
}{
	{"create_queue", (*trial).createQueue},
	{"post_messages", (*trial).post},
	{"claim_messages", (*trial).claimMessages},
	{"list_messages", (*trial).list},
	{"delete_messages", (*trial).deleteFirst},
	{"delete_claim", (*trial).release},
	{"bulk_delete_messages", (*trial).deleteAll},
	{"delete_queue", (*trial).deleteQueue},
}

// run tries everything, also when something fails, and leaves nothing behind.
func (t *trial) run(ctx context.Context) []protocol.OperationHealth {
	operations := make([]protocol.OperationHealth, 0, len(trialSteps))
	for _, step := range trialSteps {
		began := time.Now()
		err := step.do(t, ctx)
		op := protocol.OperationHealth{Name: step.name, Succeeded: err == nil, Seconds: time.Since(began).Seconds()}
		if err != nil {
			op.Ref = newRef()
			t.r.log.Error().Err(err).Str("ref", op.Ref).Str("pool", t.pool).Str("operation", step.name).Msg("a health check failed")
		}
		operations = append(operations, op)
	}
	t.clean(ctx)
	return operations
}

// newRef returns what to look for in the log.
func newRef() string {
	id := uuid.New()
	return hex.EncodeToString(id[:])
}

// clean drops the check's queue if that has failed, and those that gateways which were killed left behind.
func (t *trial) clean(ctx context.Context) {
	// The check's time may be over, its queue must go all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	old, err := t.st.OldQueues(ctx, healthProject, healthPrefix, oldHealthAge)
	if t.id != 0 {
		_, dropped := t.st.Drop(ctx, t.key, t.id)
		err = errors.Join(err, dropped)
	}
	for name, id := range old {
		_, dropped := t.st.Drop(ctx, protocol.QueueKey{Project: healthProject, Name: name}, id)
		err = errors.Join(err, dropped)
	}
	if err != nil {
		t.r.log.Warn().Err(err).Str("pool", t.pool).Msg("a health check's queue is left over; a later check will drop it")
	}
}

func (t *trial) createQueue(ctx context.Context) error {
	made, err := t.st.Adopt(ctx, t.key, t.id, []byte("{}"))
	if err == nil && !made {
		err = errors.New("the queue was there")
	}
	return err
}

const (
	trialMessages = 3
	trialTTL      = 60 // seconds
)

func (t *trial) post(ctx context.Context) error {
	p := &protocol.Post{Queue: t.key}
	for range trialMessages {
		p.Messages = append(p.Messages, protocol.NewMessage{Body: []byte(`"health"`), TTL: trialTTL})
	}
	p.Deadline, _ = ctx.Deadline()
	w := make(waiter)
	p.Waiter = w
	t.st.Post(p)
	if err := w.await(ctx); err != nil {
		return err
	}
	t.ids = p.IDs
	return p.Err
}

// waiter is a Waiter whose channel is closed when the operation is done. Every operation of a store ends.
type waiter chan struct{}

// await waits until the operation is done, or ctx ends: then it is still under way, also past its deadline if its
// statement has begun, and belongs to the store.
func (w waiter) await(ctx context.Context) error {
	select {
	case <-w:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", protocol.ErrUnavailable, context.Cause(ctx))
	}
}

// Done closes the channel.
func (w waiter) Done() { close(w) }

// Flush does nothing.
func (waiter) Flush() {}

func (t *trial) claimMessages(ctx context.Context) error {
	w := make(waiter)
	op := &protocol.ClaimOp{Queue: t.key, Limit: trialMessages, TTL: trialTTL, Grace: trialTTL, Waiter: w}
	op.Deadline, _ = ctx.Deadline()
	t.st.Claim(op)
	if err := w.await(ctx); err != nil {
		return err
	}
	t.claim = op
	return expect(op.Err, len(op.Messages), trialMessages)
}

// expect is an error unless there are as many as there should be.
func expect(err error, got, want int) error {
	if err == nil && got != want {
		return fmt.Errorf("%d messages, want %d", got, want)
	}
	return err
}

func (t *trial) list(ctx context.Context) error {
	page := protocol.MessagePage{Limit: trialMessages, Echo: true, IncludeClaimed: true}
	messages, err := t.st.Messages(ctx, t.key, page)
	return expect(err, len(messages), trialMessages)
}

func (t *trial) deleteFirst(ctx context.Context) error {
	if len(t.ids) == 0 {
		return errNothingPosted
	}
	op := &protocol.DeleteOp{IDs: t.ids[:1], Fenced: true}
	if t.claim != nil && t.claim.ClaimID != "" {
		op.ClaimIDs = []string{t.claim.ClaimID}
	}
	return t.delete(ctx, op)
}

var errNothingPosted = errors.New("no message was posted")

func (t *trial) delete(ctx context.Context, op *protocol.DeleteOp) error {
	w := make(waiter)
	op.Queue, op.Waiter = t.key, w
	op.Deadline, _ = ctx.Deadline()
	t.st.Delete(op)
	if err := w.await(ctx); err != nil {
		return err
	}
	return op.Err
}

func (t *trial) release(ctx context.Context) error {
	if t.claim == nil || t.claim.ClaimID == "" {
		return errors.New("no message was claimed")
	}
	return t.st.ReleaseClaim(ctx, t.key, t.claim.ClaimID)
}

func (t *trial) deleteAll(ctx context.Context) error {
	if len(t.ids) == 0 {
		return errNothingPosted
	}
	return t.delete(ctx, &protocol.DeleteOp{IDs: t.ids})
}

func (t *trial) deleteQueue(ctx context.Context) error {
	_, err := t.st.Drop(ctx, t.key, t.id)
	if err == nil {
		t.id = 0
	}
	return err
}
