package gateway

import (
	"context"

	"github.com/nusku-messaging/nusku/protocol"
)

// peer is whom a call is answered to: a WebSocket session or an HTTP exchange. Its methods may be called concurrently
// and do not wait for the peer.
type peer interface {
	// context ends with the peer.
	context() context.Context
	// ended says that nobody waits for answers any more.
	ended() bool

	// overdrawn says whether the memory budget is used up and the peer would with n bytes more hold more than its
	// allowance; spare whether it, and what is under way for it, stays within that.
	overdrawn(n int) bool
	spare() bool

	// block has the call's handler run in the gateway's pool, which calls carryOut when it is its turn.
	block(c *call)
	carryOut(c *call)

	// park gives back what a running call holds besides its frame, for it is going to wait, and resume has its handler run
	// again. False means that the call is to be answered instead.
	park(c *call) bool
	resume(c *call)

	// encode writes an answer into the call's writer, encodeError an error in place of what is there.
	encode(c *call, status int, a answer)
	encodeError(c *call, e *protocol.Error)
	// answered takes a call whose answer is in its writer.
	answered(c *call)
	// flush sends the answers of a batch of the store's.
	flush()
	// conclude ends a call that was answered early, once its handler is through with it. The call may be gone then.
	conclude(c *call)
}
