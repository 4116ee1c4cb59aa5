// Package migrations holds the numbered SQL files that make and change Nusku's schema, embedded in the binary.
// They are applied by store.Migrate, in order, once each, under a lock of PostgreSQL.
package migrations

import "embed"

// FS holds the SQL files, in goose's format, named NNNNN_what.sql.
//
//go:embed *.sql
var FS embed.FS
