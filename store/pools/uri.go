package pools

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// embeddedPrefix begins the URI of a database of the private PostgreSQL; the database's name follows.
const embeddedPrefix = "embedded://local/"

// embeddedName is what such a database may be called.
var embeddedName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)

// address turns a pool's URI into one that PostgreSQL's clients read. Its errors are about the URI and show no password.
func (r *Router) address(ctx context.Context, uri string, create bool) (string, error) {
	name, embedded := strings.CutPrefix(uri, embeddedPrefix)
	switch {
	case embedded && r.embedded == nil:
		return "", errors.New("this gateway runs no PostgreSQL of its own")
	case embedded && !embeddedName.MatchString(name):
		return "", errors.New("an embedded database's name has up to 48 lower-case letters, digits, - and _, and begins with a letter")
	case embedded:
		return r.embedded(ctx, name, create)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("a pool's URI begins with postgres://, postgresql:// or " + embeddedPrefix)
	}
	if _, err := pgx.ParseConfig(uri); err != nil {
		return "", errors.New("the URI cannot be read") // the error's own text may quote it
	}
	return uri, nil
}

// unreachable is protocol.ErrPoolUnreachable for a URI, in words that a client may see.
type unreachable struct {
	uri   string
	cause error
}

func (e *unreachable) Error() string { return "cannot connect to " + protocol.ShownURI(e.uri) }

// Unwrap returns protocol.ErrPoolUnreachable and the cause.
func (e *unreachable) Unwrap() []error { return []error{protocol.ErrPoolUnreachable, e.cause} }

// connect connects to a pool that is being made; see unreachable.
func (r *Router) connect(ctx context.Context, uri string, create bool) (conn *pgx.Conn, address string, err error) {
	if address, err = r.address(ctx, uri, create); err == nil {
		conn, err = pgx.Connect(ctx, address)
	}
	if err != nil {
		return nil, "", &unreachable{uri, fmt.Errorf("connect to the pool: %w", err)}
	}
	return conn, address, nil
}
