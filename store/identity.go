package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// identity is which server a database lives on. A failover changes the timeline, a restore into a new cluster the
// system identifier; after either, the last commits that clients were told of may be missing.
type identity struct {
	system   int64
	timeline int64
}

// sqlIdentity fails on a standby, which has no position to write at: the flusher must not use it.
const sqlIdentity = `
SELECT system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
FROM pg_control_system()`

const (
	sqlIdentityKnown = `SELECT system_identifier, timeline FROM server_identity`
	sqlIdentityStore = `
INSERT INTO server_identity (system_identifier, timeline) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET system_identifier = $1, timeline = $2
WHERE (server_identity.system_identifier, server_identity.timeline) <> ($1, $2)`
)

const codeInsufficientPrivilege = "42501"

// checkIdentity compares the server of a new connection with the one that the database was last seen on, before the
// first flush, and notes the new one.
func (s *Store) checkIdentity(ctx context.Context, pg *pgconn.PgConn) error {
	now, err := readIdentity(ctx, pg, sqlIdentity)
	if sqlState(err) == codeInsufficientPrivilege {
		s.log.Warn().Err(err).Msg("a failover of the database cannot be noticed: grant EXECUTE ON FUNCTION pg_control_system()")
		return nil
	}
	if err == nil && now == nil {
		err = errors.New("no answer")
	}
	if err != nil {
		return fmt.Errorf("identify the database server: %w", err)
	}
	known, err := readIdentity(ctx, pg, sqlIdentityKnown)
	if err != nil {
		return fmt.Errorf("read the known database server: %w", err)
	}
	if known != nil && *known == *now {
		return nil
	}
	if known != nil {
		s.log.Error().Int64("system", now.system).Int64("timeline", now.timeline).
			Int64("known_system", known.system).Int64("known_timeline", known.timeline).
			Msg("the database is on another server than before (failover or restore): recent commits may be missing")
	}
	args := [][]byte{strconv.AppendInt(nil, now.system, 10), strconv.AppendInt(nil, now.timeline, 10)}
	if _, err := pg.ExecParams(ctx, sqlIdentityStore, args, nil, nil, nil).Close(); err != nil {
		return fmt.Errorf("note the database server: %w", err)
	}
	return nil
}

// readIdentity reads one row, nil if there is none.
func readIdentity(ctx context.Context, pg *pgconn.PgConn, sql string) (*identity, error) {
	res := pg.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	if len(res.Rows) == 0 {
		return nil, nil
	}
	var id identity
	var err1, err2 error
	id.system, err1 = strconv.ParseInt(string(res.Rows[0][0]), 10, 64)
	id.timeline, err2 = strconv.ParseInt(string(res.Rows[0][1]), 10, 64)
	return &id, errors.Join(err1, err2)
}
