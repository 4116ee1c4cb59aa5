package main

import (
	"testing"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// The limit leaves room for everything that the settings allow, and follows them.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	cfg := config.DefaultSettings()
	before := memoryLimit(cfg, 1)
	if before < 1<<30 || before > 4<<30 {
		t.Errorf("the defaults add up to %d bytes", before)
	}
	cfg.Gateway.MemoryBudget += 1 << 30
	if more := memoryLimit(cfg, 1) - before; more < 1<<30 {
		t.Errorf("a budget that is 1 GiB larger adds %d bytes", more)
	}
	before = memoryLimit(cfg, 1)
	cfg.Delivery.TotalPageBytes += 1 << 30
	if more := memoryLimit(cfg, 1) - before; more < 1<<30 {
		t.Errorf("1 GiB more on its way to webhooks adds %d bytes", more)
	}
	if more := memoryLimit(cfg, 2) - memoryLimit(cfg, 1); more < int64(cfg.Store.PostWaitBytes+cfg.Store.FlushBytes+cfg.Store.Claims.Workers*cfg.Store.Claims.Bytes) {
		t.Errorf("another pool adds %d bytes", more)
	}
}
