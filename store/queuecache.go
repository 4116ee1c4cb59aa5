package store

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// queueInfo is what the store remembers of a queue: little, for it remembers many. It is never changed once it is made.
type queueInfo struct {
	id  int64
	key protocol.QueueKey

	defaultTTL      int32 // seconds
	defaultDelay    int32 // seconds
	maxPostBytes    int   // 0: the gateway's limit holds alone
	maxClaimCount   int32 // 0: no bound
	deadLetterQueue string
	deadLetterTTL   int32 // seconds, 0: the message keeps its own
	flavor          string
}

// newQueueInfo reads the reserved metadata leniently: the gateway checks it when it is set, and what another version
// or program wrote must not stop a queue.
func newQueueInfo(id int64, key protocol.QueueKey, metadata []byte, defaultTTL int32) *queueInfo {
	q := &queueInfo{id: id, key: key, defaultTTL: defaultTTL}
	var fields map[string]json.RawMessage
	if json.Unmarshal(metadata, &fields) != nil {
		return q
	}
	if n, ok := metadataInt(fields["_default_message_ttl"]); ok && n > 0 {
		q.defaultTTL = n
	}
	if n, ok := metadataInt(fields["_default_message_delay"]); ok && n > 0 {
		q.defaultDelay = n
	}
	if n, ok := metadataInt(fields["_max_messages_post_size"]); ok && n > 0 {
		q.maxPostBytes = int(n)
	}
	if n, ok := metadataInt(fields["_max_claim_count"]); ok && n > 0 {
		q.maxClaimCount = n
	}
	if n, ok := metadataInt(fields["_dead_letter_queue_messages_ttl"]); ok && n > 0 {
		q.deadLetterTTL = n
	}
	q.deadLetterQueue = metadataName(fields["_dead_letter_queue"])
	q.flavor = metadataName(fields["_flavor"])
	return q
}

// metadataName reads a name, "" for what is none.
func metadataName(raw json.RawMessage) (name string) {
	if raw == nil || json.Unmarshal(raw, &name) != nil || len(name) > maxNameBytes || strings.IndexByte(name, 0) >= 0 {
		return ""
	}
	return name
}

// maxNameBytes keeps what is no queue's name out of memory.
const maxNameBytes = 255

func metadataInt(raw json.RawMessage) (int32, bool) {
	var n float64
	if raw == nil || json.Unmarshal(raw, &n) != nil || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return 0, false
	}
	return int32(n), true
}

// queueCache remembers queues by name, the least recently used one goes first. All methods may be called from any
// goroutine.
type queueCache struct {
	size int
	age  time.Duration

	mu      sync.Mutex
	entries map[protocol.QueueKey]*list.Element // of *cacheEntry
	recent  *list.List                          // newest use first
	flights map[flightKey]*flight
}

type cacheEntry struct {
	info  *queueInfo
	until time.Time
}

// flight is one look-up for all who ask meanwhile.
type flight struct {
	key   protocol.QueueKey // the cache's own copy
	done  chan struct{}
	info  *queueInfo
	err   error
	stale bool // the queue changed meanwhile: deliver, but do not remember
}

type flightKey struct {
	protocol.QueueKey
	create bool
}

func newQueueCache(size int, age time.Duration) *queueCache {
	return &queueCache{
		size: size, age: age, recent: list.New(),
		entries: make(map[protocol.QueueKey]*list.Element), flights: make(map[flightKey]*flight),
	}
}

// fresh returns the queue if it is remembered and not too old, else nil.
func (c *queueCache) fresh(key protocol.QueueKey) *queueInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.freshLocked(key)
}

func (c *queueCache) freshLocked(key protocol.QueueKey) *queueInfo {
	e := c.entries[key]
	if e == nil {
		return nil
	}
	entry := e.Value.(*cacheEntry)
	if time.Now().After(entry.until) {
		return nil
	}
	c.recent.MoveToFront(e)
	return entry.info
}

// forgetID forgets a queue unless it was looked up again since: a queue of that name with another id stays.
func (c *queueCache) forgetID(key protocol.QueueKey, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil && e.Value.(*cacheEntry).info.id == id {
		c.recent.Remove(e)
		delete(c.entries, key)
	}
}

// forget makes the next use look the queue up again, also if a look-up is under way.
func (c *queueCache) forget(key protocol.QueueKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.recent.Remove(e)
		delete(c.entries, key)
	}
	for _, create := range []bool{false, true} {
		if f := c.flights[flightKey{key, create}]; f != nil {
			f.stale = true
			delete(c.flights, flightKey{key, create})
		}
	}
}

func (c *queueCache) rememberLocked(info *queueInfo) {
	entry := &cacheEntry{info: info, until: time.Now().Add(c.age)}
	if e := c.entries[info.key]; e != nil {
		e.Value = entry
		c.recent.MoveToFront(e)
		return
	}
	c.entries[info.key] = c.recent.PushFront(entry)
	if len(c.entries) > c.size {
		last := c.recent.Back()
		c.recent.Remove(last)
		delete(c.entries, last.Value.(*cacheEntry).info.key)
	}
}

// join returns the remembered queue, or the flight that looks it up and whether the caller has to fly it.
func (c *queueCache) join(fk flightKey) (info *queueInfo, f *flight, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if info := c.freshLocked(fk.QueueKey); info != nil {
		return info, nil, false
	}
	if f := c.flights[fk]; f != nil {
		return nil, f, false
	}
	f = &flight{key: ownKey(fk.QueueKey), done: make(chan struct{})}
	c.flights[flightKey{f.key, fk.create}] = f
	return nil, f, true
}

// ownKey copies a key that is kept beyond the call that brought it: a caller's strings may be views of memory that it
// uses again.
func ownKey(key protocol.QueueKey) protocol.QueueKey {
	return protocol.QueueKey{Project: strings.Clone(key.Project), Name: strings.Clone(key.Name)}
}

// land ends a flight that has its result.
func (c *queueCache) land(fk flightKey, f *flight) {
	c.mu.Lock()
	if !f.stale {
		delete(c.flights, fk)
		if f.err == nil {
			c.rememberLocked(f.info)
		}
	}
	c.mu.Unlock()
	close(f.done)
}

// resolve returns a queue by name; with create, a missing one is made. It answers from memory where that is fresh, and
// all who ask for one queue at a time share one look-up. Errors: protocol.ErrNoQueue, ErrUnavailable, ctx's own.
//
// What it returns may be out of date: every write checks the counter row and calls forgetQueue if it is gone.
func (s *Store) resolve(ctx context.Context, key protocol.QueueKey, create bool) (*queueInfo, error) {
	info, f, mine := s.cache.join(flightKey{key, create})
	if info != nil {
		return info, nil
	}
	if mine {
		// In a goroutine of its own, so that a caller who gives up takes nobody else's answer away.
		s.wg.Go(func() {
			defer s.cache.land(flightKey{f.key, create}, f)
			ctx, cancel := context.WithTimeout(s.work, s.cfg.PostWait)
			defer cancel()
			f.info, f.err = s.lookUp(ctx, f.key, create)
		})
	}
	select {
	case <-f.done:
		return f.info, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("resolve queue: %w", context.Cause(ctx))
	}
}

// forgetQueue is for writers that found the counter row of a queue missing.
func (s *Store) forgetQueue(key protocol.QueueKey, id int64) { s.cache.forgetID(key, id) }

// sqlQueueByName reads a queue, its pool if it is elsewhere, and whether it is to be removed there.
const sqlQueueByName = `
SELECT q.id, q.metadata, q.pool_id, q.removed_at IS NOT NULL FROM queue q LEFT JOIN queue_seq c ON c.id = q.id
WHERE q.project = $1 AND q.name = $2 AND (c.id IS NOT NULL OR q.pool_id IS NOT NULL)`

// sqlQueueCreate makes a queue with metadata $3, which says by $4 whether there is a dead-letter queue, by $6 and $7 of
// which flavor it is and which that queue is. A queue of that name may have been deleted under its subscribers. They learn
// of the new one only later, and must still get what is posted and consumed at once: so it is observed from the start,
// for $5 ms, or until its durable subscriptions end.
const sqlQueueCreate = `
WITH made AS (
    INSERT INTO queue (project, name, metadata, dead_letter, flavor, dead_letter_queue) VALUES ($1, $2, $3, $4, $6, $7)
    ON CONFLICT (project, name) DO NOTHING RETURNING id
), watched AS (
    INSERT INTO queue_watch (queue_id, observed_until)
    SELECT made.id, GREATEST(now() + $5 * interval '1 ms', (SELECT max(s.expires_at) FROM subscription s
        WHERE s.project = $1 AND s.queue_name = $2 AND s.gateway_id IS NULL)) FROM made
    WHERE EXISTS (SELECT FROM subscription s WHERE s.project = $1 AND s.queue_name = $2 AND ` + liveSubscriptionSQL + `)
)
INSERT INTO queue_seq (id) SELECT id FROM made RETURNING id`

// lookUp reads a queue from the database and makes it if it is missing and create is set, or if the catalogue has
// placed it here. It returns an ElsewhereError for one that is in another pool, or gets its place there.
func (s *Store) lookUp(ctx context.Context, key protocol.QueueKey, create bool) (*queueInfo, error) {
	// Between a look and an insert others may make or delete the queue; they would have to do so again and again.
	for range 10 {
		info, _, err := s.readQueue(ctx, key)
		if err == nil || !errors.Is(err, protocol.ErrNoQueue) || !create && s.cfg.PoolID == 0 {
			return info, err
		}
		info, _, err = s.makeQueue(ctx, key, []byte("{}"), create)
		if err != nil || info != nil {
			return info, err
		}
	}
	return nil, comesAndGoes(key)
}

// comesAndGoes is the error of operations that found a queue each time they looked for it and missed it each time that
// they used it.
func comesAndGoes(key protocol.QueueKey) error {
	return fmt.Errorf("%w: queue %q of project %q comes and goes", protocol.ErrUnavailable, key.Name, key.Project)
}

// readQueue reads a queue and its metadata. It returns protocol.ErrNoQueue, or an ElsewhereError for a queue in another
// pool.
func (s *Store) readQueue(ctx context.Context, key protocol.QueueKey) (info *queueInfo, metadata []byte, err error) {
	var id int64
	var pool *int64
	var removed bool
	err = s.pool.QueryRow(ctx, sqlQueueByName, key.Project, key.Name).Scan(&id, &metadata, &pool, &removed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil, protocol.ErrNoQueue
	case err != nil:
		return nil, nil, fmt.Errorf("read queue: %w", s.classify(err))
	case pool == nil:
		return newQueueInfo(id, key, metadata, s.cfg.DefaultMessageTTL), metadata, nil
	}
	placed := Placed{Pool: *pool, ID: id}
	if s.placement != nil {
		s.placement.Hint(placed.Pool)
	}
	if removed && s.placement != nil {
		// Its removal comes first: who asks for the queue must not find what was deleted.
		if placed, err = s.placement.Place(ctx, key, nil, false); err != nil {
			return nil, nil, fmt.Errorf("read queue: %w", err)
		}
	}
	return nil, nil, &ElsewhereError{placed}
}

// makeQueue makes a queue here and tells the observer; nil without an error if it is there already, or comes and goes.
// Without create it makes only what the catalogue has placed here. It returns an ElsewhereError for a queue whose place
// is elsewhere. fresh says that the queue did not exist before this call, be it as a mere place.
func (s *Store) makeQueue(ctx context.Context, key protocol.QueueKey, metadata []byte, create bool) (info *queueInfo, fresh bool, err error) {
	placed := Placed{Pool: s.cfg.PoolID}
	if s.placement != nil {
		if placed, err = s.placement.Place(ctx, key, metadata, create); err != nil {
			return nil, false, fmt.Errorf("place queue: %w", err)
		}
	}
	switch {
	case placed.Pool != s.cfg.PoolID:
		return nil, false, &ElsewhereError{placed}
	case s.cfg.PoolID == 0:
		info, err = s.insertQueue(ctx, key, metadata, placed.Several)
		return info, true, err
	case placed.New:
		return newQueueInfo(placed.ID, key, placed.Metadata, s.cfg.DefaultMessageTTL), true, nil
	case placed.Tentative:
		if err := s.placement.Keep(ctx, placed.ID); errors.Is(err, protocol.ErrNoQueue) {
			return nil, false, nil
		} else if err != nil {
			return nil, false, fmt.Errorf("make queue: %w", err)
		}
	}
	made, err := s.Adopt(ctx, key, placed.ID, placed.Metadata)
	if err != nil || !made {
		return nil, false, err
	}
	return newQueueInfo(placed.ID, key, placed.Metadata, s.cfg.DefaultMessageTTL), false, nil
}

// insertQueue makes a queue of the default pool; nil without an error if there is one of that name or, where there are
// several pools, something ties it to another one.
func (s *Store) insertQueue(ctx context.Context, key protocol.QueueKey, metadata []byte, several bool) (*queueInfo, error) {
	info := newQueueInfo(0, key, metadata, s.cfg.DefaultMessageTTL)
	flavor, deadLetters := s.catalogued(info)
	args := []any{key.Project, key.Name, metadata, info.deadLetters(), s.cfg.ObserveFor.Milliseconds(), flavor, deadLetters}
	var err error
	if several {
		err = s.inTx(ctx, func(tx pgx.Tx) error {
			if fit, err := fits(ctx, tx, info, 0); err != nil {
				return err
			} else if !fit {
				return pgx.ErrNoRows
			}
			return unknownFlavor(tx.QueryRow(ctx, sqlQueueCreate, args...).Scan(&info.id), info)
		})
	} else {
		err = s.pool.QueryRow(ctx, sqlQueueCreate, args...).Scan(&info.id)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("create queue: %w", s.classify(unknownFlavor(err, info)))
	}
	s.observer.QueueChanged(key, info.id)
	return info, nil
}
