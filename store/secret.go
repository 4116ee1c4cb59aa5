package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	secretStoreSQL = `INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
	secretReadSQL  = `SELECT value FROM secret WHERE name = $1`
)

// Secret returns 32 random bytes that all gateways of the database share under a name. They are made at first use and
// never change.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	secret, err := loadSecret(ctx, s.pool, name)
	if err != nil {
		return nil, fmt.Errorf("load secret %s: %w", name, s.classify(err))
	}
	return secret, nil
}

// loadSecret returns the secret of a name. The first who asks for it makes it.
func loadSecret(ctx context.Context, pool *pgxpool.Pool, name string) ([]byte, error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh) // never fails: crypto/rand aborts the program instead
	if _, err := pool.Exec(ctx, secretStoreSQL, name, fresh); err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	var secret []byte
	if err := pool.QueryRow(ctx, secretReadSQL, name).Scan(&secret); err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	return secret, nil
}
