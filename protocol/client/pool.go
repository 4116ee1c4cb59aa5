package client

import (
	"context"
	"encoding/json"
)

// Pool is a database that holds queues. Only administrators (Options.Roles) may look at pools and change them.
type Pool struct {
	Name string `json:"name"`
	// URI is where the database is, without its password.
	URI string `json:"uri"`
	// Weight is the pool's share of the new queues, relative to the others'; 0 gets none.
	Weight int64 `json:"weight"`
	// Flavor is the flavor that the pool belongs to; "" is none.
	Flavor string `json:"flavor"`
	// Options is a JSON object; nil unless it was asked for.
	Options json.RawMessage `json:"options,omitempty"`
}

// NewPool is a pool to be made.
type NewPool struct {
	// URI is where the database is, with a password if it needs one.
	URI string `json:"uri"`
	// Weight is the pool's share of the new queues, relative to the others'; 0 gets none.
	Weight int64 `json:"weight"`
	// Flavor is an existing flavor; "" is none.
	Flavor string `json:"flavor,omitempty"`
	// Options is encoded as a JSON object; nil for none.
	Options any `json:"options,omitempty"`
}

// PoolChange is what UpdatePool changes; nil leaves a field as it is.
type PoolChange struct {
	URI    *string `json:"uri,omitempty"`
	Weight *int64  `json:"weight,omitempty"`
	Flavor *string `json:"flavor,omitempty"`
	// Options is encoded as a JSON object.
	Options any `json:"options,omitempty"`
}

type poolBody struct {
	Name     string `json:"pool_name"`
	Detailed bool   `json:"detailed,omitempty"`
}

// listBody asks for a page of pools or flavors.
type listBody struct {
	Marker   string `json:"marker,omitempty"`
	Limit    int    `json:"limit,omitempty"`
	Detailed bool   `json:"detailed,omitempty"`
}

// CreatePool makes a pool, or replaces the one of that name. Its database is connected to and brought up to date first:
// an *Error of status 400 if it cannot be reached, 409 if another pool has it.
func (c *Client) CreatePool(ctx context.Context, name string, pool NewPool) error {
	_, err := c.Call(ctx, "pool_create", struct {
		poolBody
		NewPool
	}{poolBody{Name: name}, pool})
	return err
}

// Pool returns a pool with its options. A missing one is an *Error of status 404.
func (c *Client) Pool(ctx context.Context, name string) (*Pool, error) {
	var result Pool
	if _, err := c.call(ctx, "pool_get", poolBody{name, true}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// Pools lists the pools by name, with their options; the gateway's own database, the default pool, is not among them.
// marker is the name after which the page starts, limit its size; the zero values ask for the first page of the
// gateway's default size.
func (c *Client) Pools(ctx context.Context, marker string, limit int) ([]Pool, error) {
	var result struct {
		Pools []Pool `json:"pools"`
	}
	_, err := c.call(ctx, "pool_list", listBody{marker, limit, true}, &result)
	return result.Pools, err
}

// UpdatePool changes a pool and returns it as it is then. A missing one is an *Error of status 404; otherwise as
// CreatePool.
func (c *Client) UpdatePool(ctx context.Context, name string, change PoolChange) (*Pool, error) {
	var result Pool
	if _, err := c.call(ctx, "pool_update", struct {
		poolBody
		PoolChange
	}{poolBody{Name: name}, change}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// DeletePool removes a pool, not its database. It is no error if there is none; status 403 says that it is in use.
func (c *Client) DeletePool(ctx context.Context, name string) error {
	_, err := c.Call(ctx, "pool_delete", poolBody{Name: name})
	return err
}
