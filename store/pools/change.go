package pools

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// CreatePool makes a pool, or replaces one of that name. Its database is connected to, found to be nobody else's, and
// brought up to date first; after an error the catalogue is as it was. What is refused touches no database, nor makes one.
//
// Errors: protocol.ErrPoolUnreachable, with what is wrong with the URI as its detail if that is known; ErrPoolUnfit when the
// database holds what is not ours, or its schema cannot be brought up to date; ErrPoolExists when it is another pool, here or
// of another installation; ErrNoFlavor; ErrPoolInUse when queues are in the pool and the URI leads to another database;
// ErrFlavorInUse, with the flavor as its detail, when the pool is the last one of a flavor that queues ask for, and leaves it.
func (r *Router) CreatePool(ctx context.Context, pool protocol.Pool) error {
	if pool.Name == protocol.DefaultPool {
		return fmt.Errorf("create pool: %w", protocol.ErrPoolExists)
	}
	return r.connectPool(ctx, &pool)
}

// UpdatePool changes a pool and returns it as it is then. Errors: protocol.ErrNoPool and those of CreatePool.
func (r *Router) UpdatePool(ctx context.Context, name string, change protocol.PoolChange) (*protocol.Pool, error) {
	row, err := r.catalogue.Pool(ctx, name)
	if err != nil {
		return nil, err
	}
	pool, moved := changed(row.Pool, &change)
	if moved {
		return &pool, r.connectPool(ctx, &pool)
	}
	err = r.catalogue.Change(ctx, func(c *store.CatalogueChange) error {
		now, err := find(c, name)
		if err != nil {
			return err
		}
		pool, _ = changed(now.Pool, &change)
		return c.Update(now.ID, &pool)
	})
	if err != nil {
		return nil, fmt.Errorf("update pool: %w", err)
	}
	r.changed(ctx)
	return &pool, nil
}

// changed returns the pool after the change, and whether it may lead to another database.
func changed(pool protocol.Pool, change *protocol.PoolChange) (protocol.Pool, bool) {
	was := pool
	if change.URI != nil {
		pool.URI = *change.URI
	}
	if change.ListenURI != nil {
		pool.ListenURI = *change.ListenURI
	}
	if change.Weight != nil {
		pool.Weight = *change.Weight
	}
	if change.Flavor != nil {
		pool.Flavor = *change.Flavor
	}
	if change.Options != nil {
		pool.Options = change.Options
	}
	return pool, pool.URI != was.URI || pool.ListenURI != was.ListenURI
}

// find returns the pool of that name, or protocol.ErrNoPool.
func find(c *store.CatalogueChange, name string) (*store.PoolRow, error) {
	rows, err := c.Pools()
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].Name == name {
			return &rows[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %s", protocol.ErrNoPool, name)
}

// connectPool notes a pool whose database may be new to it.
func (r *Router) connectPool(ctx context.Context, pool *protocol.Pool) error {
	work, cancel := context.WithTimeout(ctx, r.cfg.ConnectTimeout)
	defer cancel()
	direct := pool.URI
	if pool.ListenURI != "" {
		direct = pool.ListenURI // migrations need a direct connection
		if err := r.sameDatabase(work, pool.URI, direct); err != nil {
			return fmt.Errorf("create pool: %w", err)
		}
	}
	in, err := r.look(work, direct)
	if err != nil {
		return err
	}
	if err := r.rehearse(work, in, pool); err != nil {
		return fmt.Errorf("create pool: %w", err)
	}
	if err := r.sign(work, direct, pool); err != nil {
		return fmt.Errorf("create pool: %w", err)
	}
	r.changed(ctx)
	return nil
}

// sameDatabase fails unless both URIs lead to one database.
func (r *Router) sameDatabase(ctx context.Context, uri, listen string) error {
	direct, _, err := r.connect(ctx, listen, false)
	if err != nil {
		return err
	}
	defer func() { _ = direct.Close(ctx) }() // nothing was written
	other, _, err := r.connect(ctx, uri, false)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close(ctx) }()
	same, err := store.SameDatabase(ctx, direct, other)
	if err == nil && !same {
		err = unfit(listen, "it is another database than that of uri")
	}
	return err
}

// look says whose the database of a URI is, without a change to it; nil if it is nobody's, or one of the private
// PostgreSQL that is not there yet.
func (r *Router) look(ctx context.Context, uri string) (*store.Installed, error) {
	conn, _, err := r.connect(ctx, uri, false)
	if err != nil && isMissing(err) && strings.HasPrefix(uri, embeddedPrefix) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing was written
	in, err := store.ReadInstalled(ctx, conn)
	if errors.Is(err, protocol.ErrPoolUnfit) {
		err = &uriFault{protocol.ErrPoolUnfit, uri, err}
	}
	if err != nil {
		return nil, fmt.Errorf("create pool: %w", err)
	}
	return in, nil
}

// errRehearsed has a rehearsal rolled back.
var errRehearsed = errors.New("only a rehearsal")

// rehearse says whether the catalogue would take a pool. It comes before anything that is done to the pool's database.
func (r *Router) rehearse(ctx context.Context, in *store.Installed, pool *protocol.Pool) error {
	err := r.catalogue.Change(ctx, func(c *store.CatalogueChange) error {
		if _, err := r.note(c, in, pool); err != nil {
			return err
		}
		if err := c.Check(); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// sign brings a pool's database up to date, notes the pool in the catalogue, and signs the database. That comes before the
// catalogue commits: should the commit fail, it is signed for a pool that is none, and the next one to come may have it.
func (r *Router) sign(ctx context.Context, uri string, pool *protocol.Pool) error {
	conn, address, err := r.connect(ctx, uri, true)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // what was written is committed
	if err := store.Migrate(ctx, address, r.log); err != nil {
		// What PostgreSQL says is for who runs the gateway, not for who asked.
		r.log.Error().Err(err).Str("uri", protocol.ShownURI(uri)).Str("pool", pool.Name).Msg("the tables of a new pool cannot be brought up to date")
		return unfit(uri, "its tables cannot be brought up to date; the gateway's log says why")
	}
	return r.catalogue.Change(ctx, func(c *store.CatalogueChange) error {
		in, err := store.ReadInstalled(ctx, conn)
		if err != nil {
			return err
		}
		id, err := r.note(c, in, pool)
		if err != nil || id == 0 {
			return err
		}
		return store.Install(ctx, conn, store.Installed{Catalogue: r.id, Pool: id}, in)
	})
}

// owner returns the pool whose database was signed so, nil if that pool is no more. It returns protocol.ErrPoolExists if it
// is another than the one of that name.
func owner(rows []store.PoolRow, in *store.Installed, r *Router, name string) (*store.PoolRow, error) {
	if in.Catalogue != r.id {
		return nil, fmt.Errorf("%w: the database belongs to another installation", protocol.ErrPoolExists)
	}
	if in.Pool == 0 {
		return nil, fmt.Errorf("%w: the database is the default pool's", protocol.ErrPoolExists)
	}
	for i := range rows {
		if rows[i].ID != in.Pool {
			continue
		}
		if rows[i].Name != name {
			return nil, fmt.Errorf("%w: the database is pool %s", protocol.ErrPoolExists, rows[i].Name)
		}
		return &rows[i], nil
	}
	return nil, nil
}

// note writes a pool, whose database is signed as in says, into the catalogue. It returns the id to sign the database with,
// or 0 if that was done.
func (r *Router) note(c *store.CatalogueChange, in *store.Installed, pool *protocol.Pool) (id int64, err error) {
	rows, err := c.Pools()
	if err != nil {
		return 0, err
	}
	if in != nil {
		same, err := owner(rows, in, r, pool.Name)
		if err != nil {
			return 0, err
		}
		if same != nil {
			return 0, c.Update(same.ID, pool)
		}
	}
	if err := c.Delete(pool.Name); err != nil {
		return 0, err
	}
	return c.Insert(pool)
}

// changed has all gateways read the list of pools, this one before it returns, if that does not take long.
func (r *Router) changed(ctx context.Context) {
	r.first.TellPoolsChanged()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.OpenWait)
	defer cancel()
	r.awaitRead(ctx)
	for _, m := range r.members.Load().others {
		m.await(ctx)
	}
}

// Pool returns a pool, or protocol.ErrNoPool. The default pool has the settings of this gateway.
func (r *Router) Pool(ctx context.Context, name string) (*protocol.Pool, error) {
	if name == protocol.DefaultPool {
		return &protocol.Pool{Name: name, URI: r.base.DatabaseURL, Weight: r.cfg.DefaultWeight, Options: []byte("{}")}, nil
	}
	row, err := r.catalogue.Pool(ctx, name)
	if err != nil {
		return nil, err
	}
	return &row.Pool, nil
}

// Pools lists the pools by name, those after marker, without the default one.
func (r *Router) Pools(ctx context.Context, marker string, limit int) ([]protocol.Pool, error) {
	rows, err := r.catalogue.Pools(ctx, marker, limit)
	if err != nil {
		return nil, err
	}
	pools := make([]protocol.Pool, len(rows))
	for i := range rows {
		pools[i] = rows[i].Pool
	}
	return pools, nil
}

// DeletePool deletes a pool, not its database. A missing one is no error. protocol.ErrPoolInUse: queues are in it, or a
// flavor names it. Subscriptions to deleted queues that are still there are gone with it.
func (r *Router) DeletePool(ctx context.Context, name string) error {
	if name == protocol.DefaultPool {
		return fmt.Errorf("delete pool: %w", protocol.ErrPoolInUse)
	}
	if row, err := r.catalogue.Pool(ctx, name); err == nil {
		r.finishRemovals(ctx, []int64{row.ID}, 0)
	}
	err := r.catalogue.Change(ctx, func(c *store.CatalogueChange) error {
		rows, err := c.Pools()
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].Name == name && rows[i].Flavor != "" {
				return fmt.Errorf("%w: flavor %s names it", protocol.ErrPoolInUse, rows[i].Flavor)
			}
		}
		return c.Delete(name)
	})
	if err != nil {
		return fmt.Errorf("delete pool: %w", err)
	}
	r.changed(ctx)
	return nil
}
