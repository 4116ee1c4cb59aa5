package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/store/pgserver"
)

const (
	copyRows     = 10_000          // of one transaction
	copyDuration = 2 * time.Second // of one measurement
)

// CopyReference measures what PostgreSQL alone takes: COPY of rows like messages into a table with nothing but its
// primary key, on a cluster of its own that is as durable as the gateway's.
type CopyReference struct {
	dir    string
	server *pgserver.Server
	conn   *pgx.Conn
	body   []byte
	next   int64
}

// StartCopyReference starts the cluster in a temporary folder.
func StartCopyReference(ctx context.Context, bodyBytes int, log zerolog.Logger) (*CopyReference, error) {
	dir, err := os.MkdirTemp("", "nusku-bench-")
	if err != nil {
		return nil, err
	}
	r := &CopyReference{dir: dir, body: []byte(messageBody(bodyBytes))}
	if err := r.start(ctx, log); err != nil {
		return nil, errors.Join(fmt.Errorf("raw reference: %w", err), r.Stop())
	}
	return r, nil
}

func (r *CopyReference) start(ctx context.Context, log zerolog.Logger) (err error) {
	if err := os.Chmod(r.dir, 0o711); err != nil { // as for Gateway
		return err
	}
	r.server, err = pgserver.Start(ctx, pgserver.Config{DataDir: filepath.Join(r.dir, "data"), Log: log})
	if err != nil {
		return err
	}
	if r.conn, err = pgx.Connect(ctx, r.server.URL()); err != nil {
		return err
	}
	_, err = r.conn.Exec(ctx, `CREATE TABLE plain (queue_id bigint, seq bigint, created_at timestamptz, expires_at timestamptz,
		ttl integer, body bytea, PRIMARY KEY (queue_id, seq))`)
	return err
}

// Measure returns rows per second.
func (r *CopyReference) Measure(ctx context.Context) (float64, error) {
	start := time.Now()
	rows := int64(0)
	for time.Since(start) < copyDuration {
		n, err := r.conn.CopyFrom(ctx, pgx.Identifier{"plain"}, []string{"queue_id", "seq", "created_at", "expires_at", "ttl", "body"},
			pgx.CopyFromSlice(copyRows, r.row))
		if err != nil {
			return 0, fmt.Errorf("raw reference: %w", err)
		}
		rows += n
	}
	return float64(rows) / time.Since(start).Seconds(), nil
}

// row is the next message.
func (r *CopyReference) row(int) ([]any, error) {
	r.next++
	now := time.Now()
	return []any{int64(1), r.next, now, now.Add(time.Hour), int32(3600), r.body}, nil
}

// Stop ends the cluster and removes its folder.
func (r *CopyReference) Stop() error {
	// It has to end however the run did.
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	if r.conn != nil {
		errs = append(errs, r.conn.Close(ctx))
	}
	if r.server != nil {
		errs = append(errs, r.server.Stop(ctx))
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}
