package deliver

import (
	"context"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// Backend is what an Engine needs of the store of its pool. Its methods may be called concurrently and return the errors
// of protocol, wrapped. A lease that somebody else has, or whose subscription is gone, is protocol.ErrLeaseLost.
type Backend interface {
	// LeaseDurable takes up to max free leases of durable subscriptions for so long: of those that are confirmed, of all
	// if unconfirmed is true, and of those that have a confirmation to be asked for or deliveries to send again.
	LeaseDurable(ctx context.Context, max int, lease time.Duration, unconfirmed bool) ([]protocol.Durable, error)
	// RenewDurable makes leases last so long from now on. Those that are missing in the answer are lost.
	RenewDurable(ctx context.Context, leases []protocol.Lease, lease time.Duration) ([]protocol.DurableState, error)
	// ReadDurable reads a subscription anew, after its version has changed.
	ReadDurable(ctx context.Context, l protocol.Lease) (*protocol.Durable, error)
	// ReleaseDurable gives leases back. Those that are lost are no error.
	ReleaseDurable(ctx context.Context, leases []protocol.Lease) error
	// SaveProgress stores how far the deliveries have come.
	SaveProgress(ctx context.Context, l protocol.Lease, p protocol.Progress) error
	// BuryDelivery stores a dead delivery and the progress past it, both or neither.
	BuryDelivery(ctx context.Context, l protocol.Lease, p protocol.Progress, dead protocol.DeadDelivery) error
	// ConfirmationSent notes that the subscriber was asked for confirmation.
	ConfirmationSent(ctx context.Context, l protocol.Lease) error
	// PendingResends returns dead deliveries that are to be sent again, oldest first.
	PendingResends(ctx context.Context, l protocol.Lease, limit int) ([]protocol.DeadDelivery, error)
	// FinishResend forgets a dead delivery that was delivered, or keeps it with its new reason, not to be sent again.
	FinishResend(ctx context.Context, l protocol.Lease, id int64, delivered bool, reason string) error

	// Queue returns protocol.ErrNoQueue for a missing queue.
	Queue(ctx context.Context, key protocol.QueueKey) (*protocol.Queue, error)
	// Feed reads what lies behind cursor in one snapshot, up to about so many rows and bytes. It returns
	// protocol.ErrNoQueue when the queue with that id is gone.
	Feed(ctx context.Context, key protocol.QueueKey, queueID, cursor int64, limitRows, limitBytes int) (protocol.FeedPage, error)
	// Heads returns the number of the newest message of each queue. An id that is missing is a queue that is gone.
	Heads(ctx context.Context, queueIDs []int64) (map[int64]int64, error)
}
