package pools

import (
	"context"

	"github.com/nusku-messaging/nusku/protocol"
)

// CreateFlavor makes a flavor, or replaces one of that name; see store.Catalogue.CreateFlavor.
func (r *Router) CreateFlavor(ctx context.Context, flavor protocol.Flavor) error {
	return r.catalogue.CreateFlavor(ctx, &flavor)
}

// Flavor returns a flavor, or protocol.ErrNoFlavor.
func (r *Router) Flavor(ctx context.Context, name string) (*protocol.Flavor, error) {
	return r.catalogue.Flavor(ctx, name)
}

// Flavors lists the flavors by name, those after marker.
func (r *Router) Flavors(ctx context.Context, marker string, limit int) ([]protocol.Flavor, error) {
	return r.catalogue.Flavors(ctx, marker, limit)
}

// UpdateFlavor changes a flavor and returns it as it is then. Errors: protocol.ErrNoFlavor, protocol.ErrNoPool.
func (r *Router) UpdateFlavor(ctx context.Context, name string, change protocol.FlavorChange) (*protocol.Flavor, error) {
	if err := r.catalogue.UpdateFlavor(ctx, name, &change); err != nil {
		return nil, err
	}
	return r.catalogue.Flavor(ctx, name)
}

// DeleteFlavor takes its pools out of a flavor and deletes it; see store.Catalogue.DeleteFlavor.
func (r *Router) DeleteFlavor(ctx context.Context, name string) error {
	return r.catalogue.DeleteFlavor(ctx, name)
}
