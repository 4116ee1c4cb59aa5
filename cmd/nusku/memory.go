package main

import (
	"os"
	"runtime/debug"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// sessionBytes is what an idle session takes, with its goroutine's stack and its subscription.
const sessionBytes = 10 << 10

// limitMemory tells Go's collector what the settings add up to, so that it collects earlier when more than that is in
// use, garbage included. GOMEMLIMIT, which the runtime has read, outranks it. It holds until the first pool is attached.
func limitMemory(cfg *config.Settings) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(cfg, 1))
	}
}

// raiseMemory is limitMemory for so many pools more, or fewer.
func (n *node) raiseMemory(pools int64) {
	if count := n.attached.Add(pools); count > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(n.cfg, count))
	}
}

// memoryLimit is the sum of what web/docs/operations.md lists, with a quarter more for what is counted nowhere. It is
// well above what a gateway in order holds, for a collector that cannot get below its limit takes half of the machine.
func memoryLimit(cfg *config.Settings, pools int64) int64 {
	g, s := &cfg.Gateway, &cfg.Store
	reply := int64(max(g.Limits.MaxMessagesPerPage, g.Limits.MaxMessagesPerClaim)) * int64(g.Limits.MaxPostBytes)
	pool := int64(s.PostWaitBytes) + int64(s.FlushBytes) + int64(s.Claims.Workers)*int64(s.Claims.Bytes)
	sum := g.MemoryBudget + int64(g.Blocking)*reply + int64(g.MaxSessions)*sessionBytes +
		int64(g.Push.TotalRingBytes) + int64(g.Push.TotalPageBytes) + 2*int64(cfg.Delivery.TotalPageBytes) + pools*pool
	return sum + sum/4
}
