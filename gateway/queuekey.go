package gateway

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/nusku-messaging/nusku/protocol"
)

// key names the call's queue in memory of its own. A request's strings point into its frame, whose memory the next
// frame overwrites; whatever outlives the call must not see that: a store that remembers queues by name would find a
// queue under a name that has changed meanwhile, and put a stranger's messages there.
func (c *call) key() protocol.QueueKey { return queueKeys.stable(c.queue()) }

// queueKeys are the keys that calls used last, for all gateways of the process.
var queueKeys keyCache

// keyCache holds copies of keys, so that the hot actions need not make one each time. A key that shares its slot with
// another one is copied again, which costs two allocations and harms nothing. Safe for concurrent use.
type keyCache struct {
	slots [4096]atomic.Pointer[protocol.QueueKey]
}

var keySeed = maphash.MakeSeed()

// stable returns key in memory that is never overwritten.
func (k *keyCache) stable(key protocol.QueueKey) protocol.QueueKey {
	slot := &k.slots[(maphash.String(keySeed, key.Name)^maphash.String(keySeed, key.Project)<<1)%uint64(len(k.slots))]
	if kept := slot.Load(); kept != nil && *kept == key {
		return *kept
	}
	own := &protocol.QueueKey{Project: strings.Clone(key.Project), Name: strings.Clone(key.Name)}
	slot.Store(own)
	return *own
}
