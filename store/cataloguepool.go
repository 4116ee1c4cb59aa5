package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// PoolRow is a pool as the catalogue knows it.
type PoolRow struct {
	// ID is never used again, and belongs to one database.
	ID int64
	protocol.Pool
}

func noPool(name string) error { return &protocol.FaultDetail{Fault: protocol.ErrNoPool, Detail: name} }

func noFlavor(name string) error {
	return &protocol.FaultDetail{Fault: protocol.ErrNoFlavor, Detail: name}
}

const poolColumns = `id, name, uri, listen_uri, weight, COALESCE(flavor, ''), options`

const (
	sqlAllPools = `SELECT ` + poolColumns + ` FROM pool ORDER BY id`
	sqlPools    = `SELECT ` + poolColumns + ` FROM pool WHERE name > $1 ORDER BY name LIMIT $2`
	sqlPool     = `SELECT ` + poolColumns + ` FROM pool WHERE name = $1`
)

// AllPools returns all pools but the default one.
func (c *Catalogue) AllPools(ctx context.Context) ([]PoolRow, error) {
	return c.pools(ctx, sqlAllPools)
}

// Pools returns up to limit pools by name, from after the name marker on.
func (c *Catalogue) Pools(ctx context.Context, marker string, limit int) ([]PoolRow, error) {
	return c.pools(ctx, sqlPools, marker, limit)
}

// Pool returns a pool, or protocol.ErrNoPool.
func (c *Catalogue) Pool(ctx context.Context, name string) (*PoolRow, error) {
	pools, err := c.pools(ctx, sqlPool, name)
	if err == nil && len(pools) == 0 {
		err = noPool(name)
	}
	if err != nil {
		return nil, err
	}
	return &pools[0], nil
}

func (c *Catalogue) pools(ctx context.Context, sql string, args ...any) ([]PoolRow, error) {
	rows, err := c.s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read pools: %w", c.s.classify(err))
	}
	pools, err := pgx.CollectRows(rows, scanPool)
	if err != nil {
		return nil, fmt.Errorf("read pools: %w", c.s.classify(err))
	}
	return pools, nil
}

func scanPool(row pgx.CollectableRow) (p PoolRow, err error) {
	err = row.Scan(&p.ID, &p.Name, &p.URI, &p.ListenURI, &p.Weight, &p.Flavor, &p.Options)
	return p, err
}

const (
	// sqlCatalogueLock lets one change of pools and flavors at a time through.
	sqlCatalogueLock = `SELECT catalogue FROM installation FOR UPDATE`
	sqlPoolInsert    = `
INSERT INTO pool (name, uri, listen_uri, weight, flavor, options) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`
	sqlPoolUpdate = `
UPDATE pool SET uri = $2, listen_uri = $3, weight = $4, flavor = $5, options = $6 WHERE id = $1`
	sqlPoolDelete = `DELETE FROM pool WHERE name = $1`
)

// Change runs fn in one transaction that keeps all other changes of pools and flavors away, and ends with Check.
func (c *Catalogue) Change(ctx context.Context, fn func(*CatalogueChange) error) error {
	return c.s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlCatalogueLock); err != nil {
			return err
		}
		change := &CatalogueChange{ctx: ctx, tx: tx}
		var err error
		if change.bare, err = change.bareFlavors(); err != nil {
			return err
		}
		if err := fn(change); err != nil {
			return err
		}
		return change.Check()
	})
}

// CatalogueChange is a change of pools and flavors under way. It is for the function that Change calls alone.
type CatalogueChange struct {
	ctx context.Context
	tx  pgx.Tx
	// bare are the flavors in use that had no pool before the change.
	bare []string
}

// sqlBareFlavors lists the flavors that queues ask for and that have no pool.
const sqlBareFlavors = `
SELECT f.name FROM flavor f
WHERE NOT EXISTS (SELECT FROM pool p WHERE p.flavor = f.name) AND EXISTS (SELECT FROM queue q WHERE q.flavor = f.name)
ORDER BY f.name`

func (c *CatalogueChange) bareFlavors() ([]string, error) {
	rows, err := c.tx.Query(c.ctx, sqlBareFlavors)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Check returns protocol.ErrFlavorInUse, with its name as the detail, if the change so far takes its last pool from a
// flavor that queues ask for: no more of them could be made.
func (c *CatalogueChange) Check() error {
	bare, err := c.bareFlavors()
	if err != nil {
		return err
	}
	for _, name := range bare {
		if !slices.Contains(c.bare, name) {
			return &protocol.FaultDetail{Fault: protocol.ErrFlavorInUse, Detail: name}
		}
	}
	return nil
}

// Pools returns all pools.
func (c *CatalogueChange) Pools() ([]PoolRow, error) {
	rows, err := c.tx.Query(c.ctx, sqlAllPools)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPool)
}

// Insert adds a pool and returns its id. It returns protocol.ErrNoFlavor.
func (c *CatalogueChange) Insert(p *protocol.Pool) (id int64, err error) {
	err = c.tx.QueryRow(c.ctx, sqlPoolInsert, p.Name, p.URI, p.ListenURI, p.Weight, notEmpty(p.Flavor), options(p)).Scan(&id)
	return id, poolFault(err, p)
}

// Update changes a pool. It returns protocol.ErrNoFlavor.
func (c *CatalogueChange) Update(id int64, p *protocol.Pool) error {
	_, err := c.tx.Exec(c.ctx, sqlPoolUpdate, id, p.URI, p.ListenURI, p.Weight, notEmpty(p.Flavor), options(p))
	return poolFault(err, p)
}

// Delete deletes a pool. A missing one is no error. It returns protocol.ErrPoolInUse when queues are in it.
func (c *CatalogueChange) Delete(name string) error {
	_, err := c.tx.Exec(c.ctx, sqlPoolDelete, name)
	if violates(err, "queue_pool_id_fkey") {
		return fmt.Errorf("%w: queues are placed in it", protocol.ErrPoolInUse)
	}
	return err
}

func options(p *protocol.Pool) []byte {
	if p.Options == nil {
		return []byte("{}")
	}
	return p.Options
}

func poolFault(err error, p *protocol.Pool) error {
	if violates(err, "pool_flavor_fkey") {
		return noFlavor(p.Flavor)
	}
	return err
}

const sqlFlavorColumns = `
SELECT f.name, f.capabilities, ARRAY (SELECT p.name FROM pool p WHERE p.flavor = f.name ORDER BY p.name) FROM flavor f`

const (
	sqlFlavors = sqlFlavorColumns + ` WHERE f.name > $1 ORDER BY f.name LIMIT $2`
	sqlFlavor  = sqlFlavorColumns + ` WHERE f.name = $1`
)

// Flavors returns up to limit flavors by name, from after the name marker on.
func (c *Catalogue) Flavors(ctx context.Context, marker string, limit int) ([]protocol.Flavor, error) {
	return c.flavors(ctx, sqlFlavors, marker, limit)
}

// Flavor returns a flavor, or protocol.ErrNoFlavor.
func (c *Catalogue) Flavor(ctx context.Context, name string) (*protocol.Flavor, error) {
	flavors, err := c.flavors(ctx, sqlFlavor, name)
	if err == nil && len(flavors) == 0 {
		err = noFlavor(name)
	}
	if err != nil {
		return nil, err
	}
	return &flavors[0], nil
}

func (c *Catalogue) flavors(ctx context.Context, sql string, args ...any) ([]protocol.Flavor, error) {
	rows, err := c.s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read flavors: %w", c.s.classify(err))
	}
	flavors, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f protocol.Flavor, err error) {
		err = row.Scan(&f.Name, &f.Capabilities, &f.Pools)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("read flavors: %w", c.s.classify(err))
	}
	return flavors, nil
}

const (
	sqlFlavorInsert = `
INSERT INTO flavor (name, capabilities) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET capabilities = EXCLUDED.capabilities`
	sqlFlavorUpdate = `UPDATE flavor SET capabilities = COALESCE($2, capabilities) WHERE name = $1`
	sqlFlavorDelete = `DELETE FROM flavor WHERE name = $1`
	sqlFlavorLeave  = `UPDATE pool SET flavor = NULL WHERE flavor = $1`
	sqlFlavorJoin   = `UPDATE pool SET flavor = $1 WHERE name = ANY ($2::text[]) RETURNING name`
)

// CreateFlavor makes a flavor of these pools, or replaces one of that name. A pool that was in another flavor leaves it.
// It returns protocol.ErrNoPool with the pool's name as its detail, and the errors of CatalogueChange.Check.
func (c *Catalogue) CreateFlavor(ctx context.Context, flavor *protocol.Flavor) error {
	err := c.Change(ctx, func(change *CatalogueChange) error {
		if _, err := change.tx.Exec(ctx, sqlFlavorInsert, flavor.Name, flavor.Capabilities); err != nil {
			return err
		}
		return change.setPools(flavor.Name, flavor.Pools)
	})
	if err != nil {
		return fmt.Errorf("create flavor: %w", err)
	}
	return nil
}

// UpdateFlavor changes a flavor. Errors: protocol.ErrNoFlavor, and those of CreateFlavor.
func (c *Catalogue) UpdateFlavor(ctx context.Context, name string, change *protocol.FlavorChange) error {
	err := c.Change(ctx, func(tx *CatalogueChange) error {
		tag, err := tx.tx.Exec(ctx, sqlFlavorUpdate, name, change.Capabilities)
		if err == nil && tag.RowsAffected() == 0 {
			err = noFlavor(name)
		}
		if err != nil || change.Pools == nil {
			return err
		}
		return tx.setPools(name, change.Pools)
	})
	if err != nil {
		return fmt.Errorf("update flavor: %w", err)
	}
	return nil
}

// setPools makes these pools the flavor's, and no others.
func (c *CatalogueChange) setPools(flavor string, pools []string) error {
	if _, err := c.tx.Exec(c.ctx, sqlFlavorLeave, flavor); err != nil {
		return err
	}
	rows, err := c.tx.Query(c.ctx, sqlFlavorJoin, flavor, pools)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(names))
	for _, name := range names {
		found[name] = true
	}
	for _, name := range pools {
		if !found[name] {
			return noPool(name)
		}
	}
	return nil
}

// DeleteFlavor takes its pools out of a flavor and deletes it. A missing one is no error. It returns
// protocol.ErrFlavorInUse when queues ask for it.
func (c *Catalogue) DeleteFlavor(ctx context.Context, name string) error {
	err := c.Change(ctx, func(change *CatalogueChange) error {
		if _, err := change.tx.Exec(ctx, sqlFlavorLeave, name); err != nil {
			return err
		}
		_, err := change.tx.Exec(ctx, sqlFlavorDelete, name)
		if violates(err, "queue_flavor_fkey") {
			return fmt.Errorf("%w: queues ask for it", protocol.ErrFlavorInUse)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete flavor: %w", err)
	}
	return nil
}

const sqlCandidates = `
SELECT p.id, p.weight FROM pool p WHERE p.flavor IS NOT DISTINCT FROM $1::text ORDER BY p.id`

// Candidate is a pool that may take a queue.
type Candidate struct {
	ID     int64
	Weight int64
}

// Candidates returns the pools of a flavor, or with "" those of none, without the default pool. It returns
// protocol.ErrNoFlavor for a flavor that does not exist.
func (c *Catalogue) Candidates(ctx context.Context, flavor string) ([]Candidate, error) {
	rows, err := c.s.pool.Query(ctx, sqlCandidates, notEmpty(flavor))
	if err != nil {
		return nil, fmt.Errorf("read pools: %w", c.s.classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Candidate])
	if err != nil {
		return nil, fmt.Errorf("read pools: %w", c.s.classify(err))
	}
	if len(list) == 0 && flavor != "" {
		_, err = c.Flavor(ctx, flavor)
	}
	return list, err
}
