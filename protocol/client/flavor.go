package client

import (
	"context"
	"encoding/json"
)

// Flavor names the pools that hold the queues which ask for it, by _flavor in their metadata. Only administrators
// (Options.Roles) may look at flavors and change them.
type Flavor struct {
	Name string `json:"name"`
	// Pools are the names of its pools.
	Pools []string `json:"pool_list"`
	// Capabilities is what its pools can do, JSON.
	Capabilities json.RawMessage `json:"capabilities,omitempty"`
}

type flavorBody struct {
	Name  string   `json:"flavor_name"`
	Pools []string `json:"pool_list,omitempty"`
}

// CreateFlavor makes a flavor of existing pools, or replaces the one of that name.
func (c *Client) CreateFlavor(ctx context.Context, name string, pools ...string) error {
	_, err := c.Call(ctx, "flavor_create", flavorBody{name, pools})
	return err
}

// Flavor returns a flavor. A missing one is an *Error of status 404.
func (c *Client) Flavor(ctx context.Context, name string) (*Flavor, error) {
	var result Flavor
	if _, err := c.call(ctx, "flavor_get", flavorBody{Name: name}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// Flavors lists the flavors by name. marker is the name after which the page starts, limit its size; the zero values ask
// for the first page of the gateway's default size.
func (c *Client) Flavors(ctx context.Context, marker string, limit int) ([]Flavor, error) {
	var result struct {
		Flavors []Flavor `json:"flavors"`
	}
	_, err := c.call(ctx, "flavor_list", listBody{marker, limit, true}, &result)
	return result.Flavors, err
}

// UpdateFlavor gives a flavor other pools and returns it as it is then. A missing one is an *Error of status 404.
func (c *Client) UpdateFlavor(ctx context.Context, name string, pools ...string) (*Flavor, error) {
	var result Flavor
	if _, err := c.call(ctx, "flavor_update", flavorBody{name, pools}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// DeleteFlavor takes the pools out of a flavor and removes it. It is no error if there is none; status 403 says that
// queues ask for it.
func (c *Client) DeleteFlavor(ctx context.Context, name string) error {
	_, err := c.Call(ctx, "flavor_delete", flavorBody{Name: name})
	return err
}
