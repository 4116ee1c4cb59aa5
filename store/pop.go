package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// popWait tells a blocked caller of the end of its pop.
type popWait chan struct{}

func (w popWait) Done() { close(w) }

func (popWait) Flush() {}

// PopMessages takes up to limit messages out of a queue, the oldest free ones first, and returns them; none and no
// error if there is no message or no queue. They carry the id of a claim, as on Zaqar, that no longer exists.
//
// It shares the claims' way: pops of one queue that wait at the same time are one statement. When ctx ends first,
// messages that were popped by then are lost, as they would be with the reply.
func (s *Store) PopMessages(ctx context.Context, key protocol.QueueKey, limit int) ([]protocol.Message, error) {
	done := make(popWait)
	op := &protocol.ClaimOp{
		Queue: key, Limit: limit, Waiter: done,
		Abandoned: func() bool { return ctx.Err() != nil },
	}
	if deadline, ok := ctx.Deadline(); ok {
		op.Deadline = deadline
	} else {
		op.Deadline = time.Now().Add(s.cfg.Claims.Timeout)
	}
	s.claims.submit(claimWait{op: op, pop: true})
	select {
	case <-done:
	case <-ctx.Done():
		return nil, fmt.Errorf("pop messages: %w: %w", protocol.ErrOutcomeUnknown, context.Cause(ctx))
	}
	if op.Err != nil {
		return nil, fmt.Errorf("pop messages: %w", op.Err)
	}
	return op.Messages, nil
}
