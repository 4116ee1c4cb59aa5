package pools

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nusku-messaging/nusku/protocol"
)

// embeddedPrefix begins the URI of a database of the private PostgreSQL; the database's name follows.
const embeddedPrefix = "embedded://local/"

// embeddedName is what such a database may be called.
var embeddedName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)

// address turns a pool's URI into one that PostgreSQL's clients read. Its errors show no password, and have what is wrong
// with the URI as their detail.
func (r *Router) address(ctx context.Context, uri string, create bool) (string, error) {
	name, embedded := strings.CutPrefix(uri, embeddedPrefix)
	switch {
	case embedded && r.embedded == nil:
		return "", detail("this gateway runs no PostgreSQL of its own")
	case embedded && !embeddedName.MatchString(name):
		return "", detail("an embedded database's name has up to 48 lower-case letters, digits, - and _, and begins with a letter")
	case embedded:
		return r.embedded(ctx, name, create)
	case !strings.Contains(uri, "://"):
		return "", errors.New("the URI has no scheme") // Zaqar says of those no more than that it cannot connect
	}
	if scheme, _, _ := strings.Cut(uri, "://"); scheme != "postgres" && scheme != "postgresql" {
		return "", detail("a pool's URI begins with postgres://, postgresql:// or " + embeddedPrefix)
	}
	if _, err := pgx.ParseConfig(uri); err != nil {
		return "", detail("the URI cannot be read") // the error's own text may quote it
	}
	return uri, nil
}

// detail is protocol.ErrPoolUnreachable with its reason, in words that a client may see.
func detail(reason string) error {
	return &protocol.FaultDetail{Fault: protocol.ErrPoolUnreachable, Detail: reason}
}

// uriFault is what is wrong with a pool's URI, or with the database where it leads, in words that a client may see.
type uriFault struct {
	fault error // protocol.ErrPoolUnreachable or ErrPoolUnfit
	uri   string
	cause error
}

// ShownURI is the URI without its password.
func (e *uriFault) ShownURI() string { return protocol.ShownURI(e.uri) }

func (e *uriFault) Error() string {
	text := "cannot connect to " + e.ShownURI()
	if e.fault == protocol.ErrPoolUnfit {
		text = "cannot use " + e.ShownURI()
	}
	if reason := protocol.DetailOf(e.cause); reason != "" {
		text += ": " + reason
	}
	return text
}

// Unwrap returns the fault and the cause.
func (e *uriFault) Unwrap() []error { return []error{e.fault, e.cause} }

// unfit is protocol.ErrPoolUnfit for a URI, with its reason, in words that a client may see.
func unfit(uri, reason string) error {
	return &uriFault{protocol.ErrPoolUnfit, uri, &protocol.FaultDetail{Fault: protocol.ErrPoolUnfit, Detail: reason}}
}

// connect connects to a pool that is being made; see uriFault.
func (r *Router) connect(ctx context.Context, uri string, create bool) (conn *pgx.Conn, address string, err error) {
	if address, err = r.address(ctx, uri, create); err == nil {
		conn, err = pgx.Connect(ctx, address)
	}
	if err != nil {
		return nil, "", &uriFault{protocol.ErrPoolUnreachable, uri, fmt.Errorf("connect to the pool: %w", err)}
	}
	return conn, address, nil
}

// isMissing says whether a server has no database of that name (PostgreSQL manual, appendix A).
func isMissing(err error) bool {
	const invalidCatalogName = "3D000"
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == invalidCatalogName
}
