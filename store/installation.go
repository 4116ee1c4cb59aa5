package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nusku-messaging/nusku/protocol"
)

// Installed says whose a database is: which pool of which catalogue.
type Installed struct {
	Catalogue uuid.UUID
	// Pool is 0 in the database that holds the catalogue.
	Pool int64
}

const (
	sqlHasSchema = `SELECT to_regclass('installation') IS NOT NULL, to_regclass('queue') IS NOT NULL`
	sqlHasQueues = `SELECT EXISTS (SELECT FROM queue) OR EXISTS (SELECT FROM gateway WHERE lease_until > now())`
)

// ReadInstalled says whose the database of conn is, before or after it was migrated; nil if it is nobody's. A database
// that nobody has signed but that holds queues, or that a gateway uses, belongs to somebody: protocol.ErrPoolExists. So
// does one with tables that are called like ours and are not.
func ReadInstalled(ctx context.Context, conn *pgx.Conn) (*Installed, error) {
	in, err := readInstalled(ctx, conn)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pgErr.Code, classWrongTable) {
		return nil, fmt.Errorf("%w: the database has tables of somebody else: %w", protocol.ErrPoolExists, err)
	}
	return in, err
}

// classWrongTable begins the SQLSTATEs of columns and tables that are missing or not ours to read.
const classWrongTable = "42"

func readInstalled(ctx context.Context, conn *pgx.Conn) (*Installed, error) {
	var signed, used bool
	if err := conn.QueryRow(ctx, sqlHasSchema).Scan(&signed, &used); err != nil {
		return nil, fmt.Errorf("look at the database: %w", err)
	}
	if signed {
		var in Installed
		err := conn.QueryRow(ctx, sqlInstallation).Scan(&in.Catalogue, &in.Pool)
		if !errors.Is(err, pgx.ErrNoRows) {
			return &in, wrap("read whose the database is", err)
		}
	}
	if used {
		if err := conn.QueryRow(ctx, sqlHasQueues).Scan(&used); err != nil {
			return nil, fmt.Errorf("look at the database: %w", err)
		}
	}
	if used {
		return nil, fmt.Errorf("%w: the database is in use", protocol.ErrPoolExists)
	}
	return nil, nil
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

const (
	sqlInstall = `INSERT INTO installation (catalogue, pool_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	sqlReclaim = `UPDATE installation SET pool_id = $2 WHERE catalogue = $1 AND pool_id = $3`
)

// Install signs a database that is nobody's or, if was is set, of a pool of that catalogue that is no more.
func Install(ctx context.Context, conn *pgx.Conn, now Installed, was *Installed) error {
	sql, args := sqlInstall, []any{now.Catalogue, now.Pool}
	if was != nil {
		sql, args = sqlReclaim, append(args, was.Pool)
	}
	tag, err := conn.Exec(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("sign the database: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%w: the database has become somebody's at this moment", protocol.ErrPoolExists)
	}
	return nil
}
