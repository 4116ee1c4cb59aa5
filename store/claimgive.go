package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// giving is claims that nobody holds, to be given back before they expire: those of a request that was abandoned,
// and those of a statement whose outcome is not known.
type giving struct {
	key              protocol.QueueKey
	queueID          int64
	first, last      int64 // numbers, inclusive
	batch, lastBatch int64
	// repeatUntil is until when the statement that claimed may still run on the server, unseen; the zero time if
	// it is known to be over.
	repeatUntil time.Time
}

// givings gives claims back, one after another, for as long as it takes the database to be there again. Its list
// is bounded: what does not fit in it waits for the claims to expire, as it would without it.
type givings struct {
	c *claimer

	cancel context.CancelFunc
	wg     sync.WaitGroup
	more   chan struct{}

	mu   sync.Mutex
	list []giving
}

func newGivings(c *claimer) *givings {
	return &givings{c: c, more: make(chan struct{}, 1)}
}

func (g *givings) start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	g.wg.Go(func() { g.run(ctx) })
}

// stop tries once more to give back what is left, then ends.
func (g *givings) stop() {
	if g.cancel == nil {
		return
	}
	g.cancel()
	g.wg.Wait()
}

func (g *givings) add(one giving) {
	g.mu.Lock()
	if len(g.list) < g.c.cfg.Releases {
		g.list = append(g.list, one)
	}
	g.mu.Unlock()
	select {
	case g.more <- struct{}{}:
	default:
	}
}

// takeAll returns the list and empties it.
func (g *givings) takeAll() []giving {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.list
	g.list = nil
	return list
}

// run gives back until ctx ends, and then once more.
func (g *givings) run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 20*time.Millisecond, time.Second
	for {
		left := g.giveAll(context.WithoutCancel(ctx), g.takeAll())
		if ctx.Err() != nil {
			return
		}
		var again <-chan time.Time
		if len(left) > 0 {
			again = time.After(pause.NextBackOff())
		} else {
			pause.Reset()
		}
		select {
		case <-ctx.Done():
		case <-g.more:
		case <-again:
		}
		g.mu.Lock()
		g.list = append(left, g.list...)
		g.mu.Unlock()
	}
}

// giveAll gives each back and returns those to be tried again.
func (g *givings) giveAll(ctx context.Context, list []giving) (left []giving) {
	for i, one := range list {
		found, err := g.give(ctx, one)
		if err != nil {
			g.c.s.log.Debug().Err(err).Int64("queue_id", one.queueID).Msg("claims not given back yet")
			return append(left, list[i:]...)
		}
		if !found && time.Now().Before(one.repeatUntil) {
			left = append(left, one)
		}
	}
	return left
}

// give gives one back and says whether there was anything to give.
func (g *givings) give(ctx context.Context, one giving) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.c.cfg.Timeout)
	defer cancel()
	rows, err := g.c.s.pool.Query(ctx, giveBackSQL, one.queueID, one.first, one.last, one.batch, one.lastBatch)
	if err != nil {
		return false, err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(seqs) == 0 {
		return false, err
	}
	g.c.s.claimed.changed(one.queueID)
	g.c.released(one.key, one.queueID, slices.Min(seqs))
	return true, nil
}

// released makes messages that were given back be found again, here and on the other gateways.
func (c *claimer) released(key protocol.QueueKey, queueID, seq int64) {
	c.lower(queueID, seq)
	c.s.observer.Released(key, queueID, seq)
}
