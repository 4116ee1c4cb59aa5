package main

import "context"

// pageFlags bound a list.
type pageFlags struct {
	Limit  int    `default:"0" placeholder:"N" help:"Stop after this many; 0 lists all."`
	Marker string `placeholder:"MARKER" help:"Start behind this one."`
}

// allPages calls fetch for one page after the other, each with the marker of the last item before it, until there is no
// more or limit items are there.
func allPages[T any](ctx context.Context, flags pageFlags, marker func(T) string,
	fetch func(ctx context.Context, marker string, limit int) ([]T, error),
) (items []T, err error) {
	at := flags.Marker
	for flags.Limit <= 0 || len(items) < flags.Limit {
		page, err := fetch(ctx, at, 0)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return items, nil
		}
		items = append(items, page...)
		at = marker(page[len(page)-1])
	}
	return items[:flags.Limit], nil
}
