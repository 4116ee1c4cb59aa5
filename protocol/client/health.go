package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
)

// Health is what the gateway found when it tried its pools.
type Health struct {
	// CatalogReachable says whether the database that knows where queues are answers.
	CatalogReachable bool `json:"catalog_reachable"`
	// Pools begins with the default pool; the others follow by name.
	Pools []PoolHealth `json:"pools"`
}

// PoolHealth is the health of one pool.
type PoolHealth struct {
	Name      string `json:"name"`
	Reachable bool   `json:"storage_reachable"`
	// Ref is what to look for in the gateway's log when the pool is not reachable; "" if it is.
	Ref string `json:"ref,omitempty"`
	// Operations are what was tried, by name.
	Operations map[string]OperationHealth `json:"operation_status"`
	// Volume counts the pool's messages; nil if they could not be counted.
	Volume *MessageVolume `json:"message_volume,omitempty"`
}

// MessageVolume counts messages.
type MessageVolume struct {
	Free    int64 `json:"free"`
	Claimed int64 `json:"claimed"`
	Total   int64 `json:"total"`
}

// OperationHealth is how one operation went.
type OperationHealth struct {
	Succeeded bool    `json:"succeeded"`
	Seconds   float64 `json:"seconds"`
	// Ref is what to look for in the gateway's log; "" if the operation succeeded.
	Ref string `json:"ref,omitempty"`
}

// OK says whether the pool can be reached and all of its operations succeeded.
func (p *PoolHealth) OK() bool {
	for _, o := range p.Operations {
		if !o.Succeeded {
			return false
		}
	}
	return p.Reachable
}

// Health has the gateway try real operations on every pool. Only administrators (Options.Roles) may ask for it.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	reply, err := c.Call(ctx, "check_node_health", nil)
	if err != nil {
		return nil, err
	}
	health, err := readHealth(reply.Body)
	if err != nil {
		return nil, fmt.Errorf("check_node_health: decode the reply: %w", err)
	}
	return health, nil
}

// readHealth reads both forms: that of one pool, which stands for itself, and that of several by name.
func readHealth(body []byte) (*Health, error) {
	const catalog, storage = "catalog_reachable", "storage_reachable"
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	health := &Health{}
	if _, flat := fields[storage]; flat {
		pool := PoolHealth{}
		err := json.Unmarshal(body, &pool)
		pool.Name = protocol.DefaultPool
		health.CatalogReachable, health.Pools = pool.Reachable, []PoolHealth{pool}
		return health, err
	}
	if err := json.Unmarshal(fields[catalog], &health.CatalogReachable); err != nil {
		return nil, fmt.Errorf("%s: %w", catalog, err)
	}
	delete(fields, catalog)
	for _, name := range poolOrder(fields) {
		pool := PoolHealth{}
		if err := json.Unmarshal(fields[name], &pool); err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
		pool.Name = name
		health.Pools = append(health.Pools, pool)
	}
	return health, nil
}

// poolOrder is the default pool first, then the others by name.
func poolOrder(pools map[string]json.RawMessage) []string {
	names := slices.Sorted(maps.Keys(pools))
	if i := slices.Index(names, protocol.DefaultPool); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, protocol.DefaultPool)
	}
	return names
}

// Ping asks the gateway for a sign of life; no database is involved.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Call(ctx, "ping_node", nil)
	return err
}

// HomeDocument returns the document that lists the resources of the REST API, JSON home.
func (c *Client) HomeDocument(ctx context.Context) (json.RawMessage, error) {
	reply, err := c.Call(ctx, "get_home_doc", nil)
	if err != nil {
		return nil, err
	}
	return reply.Body, nil
}
