package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	sqlStrangers = `
SELECT EXISTS (SELECT FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND c.relname NOT IN ('goose_db_version', 'goose_db_version_id_seq')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))`
)

// ReadInstalled says whose the database of conn is, before or after it was migrated; nil if it is nobody's. A database
// that nobody has signed but that holds queues, or that a gateway uses, belongs to somebody: protocol.ErrPoolExists. One
// with tables that are not ours, even if they are called so, is protocol.ErrPoolUnfit, with the reason as its detail.
func ReadInstalled(ctx context.Context, conn *pgx.Conn) (*Installed, error) {
	in, err := readInstalled(ctx, conn)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pgErr.Code, classWrongTable) {
		return nil, fmt.Errorf("%w: %w", notOurs, err)
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
	if !used {
		return nil, strangers(ctx, conn)
	}
	if err := conn.QueryRow(ctx, sqlHasQueues).Scan(&used); err != nil {
		return nil, fmt.Errorf("look at the database: %w", err)
	}
	if used {
		return nil, fmt.Errorf("%w: the database is in use", protocol.ErrPoolExists)
	}
	return nil, nil
}

// strangers returns notOurs if the schema where our tables would be made has others. The table of migrations does not
// count, it is there alone when the first of them was cut short; nor does what belongs to an extension.
func strangers(ctx context.Context, conn *pgx.Conn) error {
	var some bool
	if err := conn.QueryRow(ctx, sqlStrangers).Scan(&some); err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	if some {
		return notOurs
	}
	return nil
}

// notOurs refuses the database of another application.
var notOurs = &protocol.FaultDetail{Fault: protocol.ErrPoolUnfit, Detail: "the database is not empty and is not Nusku's"}

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

const (
	sqlTakeKey = `SELECT pg_advisory_xact_lock($1)`
	sqlTryKey  = `SELECT pg_try_advisory_xact_lock($1)`
)

// SameDatabase says whether two connections, one of which may go through a pooler, lead to one database: a lock that one
// holds is in the other's way. Neither may be in use.
func SameDatabase(ctx context.Context, a, b *pgx.Conn) (bool, error) {
	key := rand.Int64()
	free := true
	err := pgx.BeginFunc(ctx, a, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlTakeKey, key); err != nil {
			return err
		}
		return b.QueryRow(ctx, sqlTryKey, key).Scan(&free)
	})
	return !free, wrap("compare databases", err)
}
