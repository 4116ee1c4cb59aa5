package pools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestPoolsAndFlavors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	ctx := t.Context()
	one, oneURL := w.pool(r, "one", 100)
	_, twoURL := w.pool(r, "two", 7)
	pool, err := r.Pool(ctx, "one")
	if diff := cmp.Diff(&protocol.Pool{Name: "one", URI: oneURL, Weight: 100, Options: []byte("{}")}, pool); err != nil || diff != "" {
		t.Errorf("the pool: %v (-want +got):\n%s", err, diff)
	}
	_, err = r.Pool(ctx, "three")
	wantErr(t, "a missing pool", err, protocol.ErrNoPool)
	list, err := r.Pools(ctx, "one", 10)
	if err != nil || len(list) != 1 || list[0].Name != "two" {
		t.Errorf("the pools after the first: %v, %v", list, err)
	}
	// Replaced under its name, on the same database: it stays the same pool.
	wantErr(t, "replace", r.CreatePool(ctx, protocol.Pool{Name: "one", URI: oneURL, Weight: 5, Options: []byte(`{"a": 1}`)}), nil)
	if row, err := r.catalogue.Pool(ctx, "one"); err != nil || row.ID != one || row.Weight != 5 {
		t.Errorf("replaced: %+v, %v", row, err)
	}
	wantErr(t, "the database of another pool", r.CreatePool(ctx, protocol.Pool{Name: "three", URI: twoURL, Weight: 5}), protocol.ErrPoolExists)
	wantErr(t, "the default pool's database", r.CreatePool(ctx, protocol.Pool{Name: "three", URI: w.url, Weight: 5}), protocol.ErrPoolExists)
	proxy := storetest.NewProxy(t, twoURL)
	wantErr(t, "the same database by another address", r.CreatePool(ctx, protocol.Pool{Name: "three", URI: proxy.URL(), Weight: 5}), protocol.ErrPoolExists)
	wantErr(t, "an unknown flavor", r.CreatePool(ctx, protocol.Pool{Name: "three", URI: storetest.URL(t), Flavor: "f"}), protocol.ErrNoFlavor)
	wantErr(t, "the default pool's name", r.CreatePool(ctx, protocol.Pool{Name: "default", URI: storetest.URL(t)}), protocol.ErrPoolExists)

	wantErr(t, "a flavor of no pool", r.CreateFlavor(ctx, protocol.Flavor{Name: "f", Pools: []string{"nope"}}), protocol.ErrNoPool)
	_, err = r.Flavor(ctx, "f")
	wantErr(t, "a flavor that was not made", err, protocol.ErrNoFlavor)
	wantErr(t, "create flavor", r.CreateFlavor(ctx, protocol.Flavor{Name: "f", Pools: []string{"one", "two"}}), nil)
	wantErr(t, "a second one takes a pool away", r.CreateFlavor(ctx, protocol.Flavor{Name: "g", Pools: []string{"two"}, Capabilities: []byte("[1]")}), nil)
	flavors, err := r.Flavors(ctx, "", 10)
	want := []protocol.Flavor{{Name: "f", Pools: []string{"one"}}, {Name: "g", Pools: []string{"two"}, Capabilities: []byte("[1]")}}
	if diff := cmp.Diff(want, flavors); err != nil || diff != "" {
		t.Errorf("flavors: %v (-want +got):\n%s", err, diff)
	}
	f, err := r.UpdateFlavor(ctx, "f", protocol.FlavorChange{Pools: []string{"one", "two"}})
	if err != nil || len(f.Pools) != 2 {
		t.Errorf("updated: %+v, %v", f, err)
	}
	_, err = r.UpdateFlavor(ctx, "h", protocol.FlavorChange{Pools: []string{"one"}})
	wantErr(t, "update a missing flavor", err, protocol.ErrNoFlavor)
	_, err = r.UpdateFlavor(ctx, "f", protocol.FlavorChange{Pools: []string{"nope"}})
	wantErr(t, "update to a missing pool", err, protocol.ErrNoPool)
	wantErr(t, "delete a pool of a flavor", r.DeletePool(ctx, "one"), protocol.ErrPoolInUse)
	empty := ""
	p, err := r.UpdatePool(ctx, "one", protocol.PoolChange{Flavor: &empty})
	if err != nil || p.Flavor != "" {
		t.Errorf("out of its flavor: %+v, %v", p, err)
	}
	_, err = r.UpdatePool(ctx, "three", protocol.PoolChange{Flavor: &empty})
	wantErr(t, "update a missing pool", err, protocol.ErrNoPool)

	k := w.place(r, "q", one)
	wantErr(t, "delete a pool with queues", r.DeletePool(ctx, "one"), protocol.ErrPoolInUse)
	elsewhere := storetest.URL(t)
	_, err = r.UpdatePool(ctx, "one", protocol.PoolChange{URI: &elsewhere})
	wantErr(t, "move a pool with queues to another database", err, protocol.ErrPoolInUse)
	// To the same database by another address: its queues are there.
	moved := storetest.NewProxy(t, oneURL).URL()
	_, err = r.UpdatePool(ctx, "one", protocol.PoolChange{URI: &moved})
	wantErr(t, "move a pool to another address", err, nil)
	w.post(r, k, "a")
	wantErr(t, "delete the queue", r.DeleteQueue(ctx, k), nil)
	wantErr(t, "delete the pool", r.DeletePool(ctx, "one"), nil)
	wantErr(t, "delete it again", r.DeletePool(ctx, "one"), nil)
	// Its database may become a pool again, under another id.
	if again := w.poolAt(r, "again", oneURL, 1); again <= one {
		t.Errorf("the new pool has id %d", again)
	}
	w.post(r, w.place(r, "q", w.mustID(r, "again")), "b")
}

func (w *world) mustID(r *Router, name string) int64 {
	w.t.Helper()
	row, err := r.catalogue.Pool(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return row.ID
}

// A database that belongs to somebody is not touched.
func TestDatabasesOfOthers(t *testing.T) {
	t.Parallel()
	w, others := newWorld(t), newWorld(t)
	r := w.router(slow)
	theirs := others.router(slow)
	_, poolURL := others.pool(theirs, "one", 1)
	ctx := t.Context()
	for what, url := range map[string]string{"another catalogue": others.url, "another installation's pool": poolURL} {
		wantErr(t, what, r.CreatePool(ctx, protocol.Pool{Name: "x", URI: url}), protocol.ErrPoolExists)
	}
	old := storetest.URL(t)
	w.exec(w.db(old), `DELETE FROM installation`)
	w.exec(w.db(old), `INSERT INTO queue (project, name) VALUES ('p', 'q')`)
	wantErr(t, "a database with queues that nobody signed", r.CreatePool(ctx, protocol.Pool{Name: "x", URI: old}), protocol.ErrPoolExists)
	if pools, err := r.Pools(ctx, "", 10); err != nil || len(pools) != 0 {
		t.Errorf("pools %v, %v", pools, err)
	}
	// Nor can a pool be the default pool of a gateway.
	base := store.DefaultConfig()
	base.DatabaseURL = poolURL
	if r, err := Open(ctx, DefaultConfig(), Parts{Store: base}, zerolog.Nop()); err == nil {
		r.Stop(ctx)
		t.Error("a pool was opened as a default pool")
	}
	// A pool whose database was exchanged for another is not used.
	_, url := w.pool(r, "mine", 1)
	w.exec(w.db(url), `UPDATE installation SET pool_id = 77`)
	late := w.router(slow)
	if st := late.members.Load().others[0].store.Load(); st != nil {
		t.Error("a foreign database was opened")
	}
}

func TestUnreachablePools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes a port on which nobody answers
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	for uri, want := range map[string]string{
		"postgres://u:sesame@" + addr + "/x?sslmode=disable": "cannot connect to postgres://u@" + addr + "/x?sslmode=disable",
		"postgres://u@" + addr + "/x?password=sesame":        "cannot connect to postgres://u@" + addr + "/x",
		"localhost":                 "cannot connect to localhost",
		"redis://localhost":         "cannot connect to redis://localhost: a pool's URI begins with postgres://, postgresql:// or embedded://local/",
		"mysql://u:sesame@h/x":      "cannot connect to mysql://u@h/x: a pool's URI begins with postgres://, postgresql:// or embedded://local/",
		"embedded://local/a":        "cannot connect to embedded://local/a: this gateway runs no PostgreSQL of its own",
		"postgres://u:ses%ame@h/x":  "cannot connect to postgres://u@h/x: the URI cannot be read",
		"host=h password='ses ame'": "",
		"":                          "cannot connect to ",
	} {
		err := r.CreatePool(t.Context(), protocol.Pool{Name: "x", URI: uri, Weight: 1})
		wantErr(t, uri, err, protocol.ErrPoolUnreachable)
		if err == nil || want != "" && err.Error() != want || strings.Contains(err.Error()+protocol.DetailOf(err), "sesame") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if pools, err := r.Pools(t.Context(), "", 10); err != nil || len(pools) != 0 {
		t.Errorf("pools %v, %v", pools, err)
	}
}

// extraDatabases makes databases as the private PostgreSQL does, with names of the test's own. It returns the names of those
// that were made.
func (w *world) extraDatabases(r *Router) (made func() []string) {
	admin := w.db(w.url)
	base, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	prefix := strings.TrimPrefix(base.Path, "/") + "_"
	made = func() (names []string) {
		rows, _ := admin.Query(context.Background(), `SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1`, prefix)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range names {
			names[i] = strings.TrimPrefix(names[i], prefix)
		}
		return names
	}
	r.embedded = func(ctx context.Context, name string, create bool) (string, error) {
		if create && !slices.Contains(made(), name) {
			w.exec(admin, "CREATE DATABASE "+pgx.Identifier{prefix + name}.Sanitize())
		}
		at := *base
		at.Path = "/" + prefix + name
		return at.String(), nil
	}
	w.t.Cleanup(func() {
		for _, name := range made() {
			w.exec(admin, "DROP DATABASE "+pgx.Identifier{prefix + name}.Sanitize()+" WITH (FORCE)")
		}
	})
	return made
}

// Embedded databases are made when a pool is, and never again.
func TestEmbeddedPools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	made := w.extraDatabases(r)
	wantErr(t, "create", r.CreatePool(t.Context(), protocol.Pool{Name: "x", URI: "embedded://local/a-1", Weight: 1}), nil)
	id := w.mustID(r, "x")
	w.post(r, w.place(r, "q", id), "a")
	for _, bad := range []string{"", "A", "1a", "a b", "a'", `a"`, "a/b", strings.Repeat("a", 49), "ä"} {
		err := r.CreatePool(t.Context(), protocol.Pool{Name: "y", URI: "embedded://local/" + bad})
		if wantErr(t, fmt.Sprintf("database %q", bad), err, protocol.ErrPoolUnreachable); !strings.Contains(protocol.DetailOf(err), "lower-case") {
			t.Errorf("database %q: the reason is missing in %v", bad, err)
		}
	}
	if diff := cmp.Diff([]string{"a-1"}, made()); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
}

// What is refused has made no database and no table.
func TestRefusedPoolsLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	ctx := t.Context()
	made := w.extraDatabases(r)
	keep, keepURL := w.pool(r, "keep", 1)
	w.post(r, w.place(r, "q", keep), "a")
	const embedded = "embedded://local/leftover"
	stranger := storetest.URL(t)
	db := w.db(stranger)
	w.exec(db, `DROP SCHEMA public CASCADE`)
	w.exec(db, `CREATE SCHEMA public`)
	for _, uri := range []string{embedded, stranger} {
		_, err := r.UpdatePool(ctx, "keep", protocol.PoolChange{URI: &uri})
		wantErr(t, "another database for a pool with queues", err, protocol.ErrPoolInUse)
		wantErr(t, "replace a pool with queues", r.CreatePool(ctx, protocol.Pool{Name: "keep", URI: uri}), protocol.ErrPoolInUse)
		wantErr(t, "an unknown flavor", r.CreatePool(ctx, protocol.Pool{Name: "new", URI: uri, Flavor: "nope"}), protocol.ErrNoFlavor)
	}
	if n := w.number(db, `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`); n != 0 || len(made()) != 0 {
		t.Errorf("left behind: databases %v, %d tables", made(), n)
	}
	pool, err := r.Pool(ctx, "keep")
	if err != nil || pool.URI != keepURL {
		t.Errorf("the pool is %+v, %v", pool, err)
	}
	// Tables of others that are called like ours are not taken for ours.
	for _, table := range []string{`queue (job text)`, `installation (host text)`} {
		w.exec(db, `CREATE TABLE `+table)
		wantErr(t, "a database with "+table, r.CreatePool(ctx, protocol.Pool{Name: "new", URI: stranger}), protocol.ErrPoolUnfit)
		w.exec(db, `DROP TABLE `+strings.Fields(table)[0])
	}
	wantErr(t, "what is not refused", r.CreatePool(ctx, protocol.Pool{Name: "new", URI: embedded}), nil)
	if diff := cmp.Diff([]string{"leftover"}, made()); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
}

// A database with tables of somebody else is refused before anything is written, and what stops a migration is not told as
// a lack of connection.
func TestForeignDatabases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	ctx := t.Context()
	empty := func() (string, *pgxpool.Pool) {
		url := storetest.URL(t)
		db := w.db(url)
		w.exec(db, `DROP SCHEMA public CASCADE`)
		w.exec(db, `CREATE SCHEMA public`)
		return url, db
	}
	for name, sql := range map[string]string{
		"a table":           `CREATE TABLE message (id int)`,
		"a view":            `CREATE VIEW v AS SELECT 1`,
		"migrations of its": `CREATE TABLE goose_db_version (id int); CREATE TABLE job (id int)`,
	} {
		url, db := empty()
		w.exec(db, sql)
		n := w.number(db, `SELECT count(*) FROM pg_class`)
		err := r.CreatePool(ctx, protocol.Pool{Name: "x", URI: url})
		if wantErr(t, name, err, protocol.ErrPoolUnfit); protocol.DetailOf(err) != "the database is not empty and is not Nusku's" {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, protocol.ErrPoolUnreachable) || w.number(db, `SELECT count(*) FROM pg_class`) != n {
			t.Errorf("%s: something was made, or the error is of another kind: %v", name, err)
		}
	}
	url, db := empty()
	w.exec(db, `CREATE TYPE queue AS ENUM ()`)
	err := r.CreatePool(ctx, protocol.Pool{Name: "x", URI: url})
	wantErr(t, "a migration that fails", err, protocol.ErrPoolUnfit)
	if errors.Is(err, protocol.ErrPoolUnreachable) || !strings.Contains(protocol.DetailOf(err), "tables cannot be brought up to date") {
		t.Errorf("a migration that fails: %v", err)
	}
	// The table of migrations is there now, and alone: that is what is left of a first try.
	w.exec(db, `DROP TYPE queue`)
	wantErr(t, "after it was mended", r.CreatePool(ctx, protocol.Pool{Name: "x", URI: url}), nil)
}

// No change of a flavor or of a pool takes its last pool from a flavor that queues ask for.
func TestFlavorInUseKeepsItsLastPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(slow)
	ctx := t.Context()
	_, url := w.pool(r, "one", 100)
	w.pool(r, "two", 100)
	flavor := func(name string, pools ...string) error {
		return r.CreateFlavor(ctx, protocol.Flavor{Name: name, Pools: pools})
	}
	wantErr(t, "create flavor", flavor("f", "one"), nil)
	wantErr(t, "create flavor", flavor("g", "two"), nil)
	_, err := r.CreateQueue(ctx, key("q"), []byte(`{"_flavor": "f"}`))
	wantErr(t, "create queue", err, nil)
	update := func(flavor string) error {
		_, err := r.UpdatePool(ctx, "one", protocol.PoolChange{Flavor: &flavor})
		return err
	}
	steals := map[string]func() error{
		"a new flavor": func() error { return flavor("h", "one") },
		"a flavor that changes": func() error {
			_, err := r.UpdateFlavor(ctx, "g", protocol.FlavorChange{Pools: []string{"one", "two"}})
			return err
		},
		"out of its flavor": func() error { return update("") },
		"to another flavor": func() error { return update("g") },
		"a pool made anew":  func() error { return r.CreatePool(ctx, protocol.Pool{Name: "one", URI: url, Weight: 1}) },
		"to another, anew":  func() error { return r.CreatePool(ctx, protocol.Pool{Name: "one", URI: url, Flavor: "g"}) },
	}
	for what, steal := range steals {
		err := steal()
		if wantErr(t, what, err, protocol.ErrFlavorInUse); protocol.DetailOf(err) != "f" {
			t.Errorf("%s: the flavor is not named: %v", what, err)
		}
	}
	if f, err := r.Flavor(ctx, "f"); err != nil || len(f.Pools) != 1 {
		t.Errorf("the flavor is %+v, %v", f, err)
	}
	_, err = r.Flavor(ctx, "h")
	wantErr(t, "a flavor that was refused", err, protocol.ErrNoFlavor)
	wantErr(t, "another pool in its place", flavor("f", "two"), nil)
	wantErr(t, "what was in use before", update(""), nil)
}

// A pool may have a second address, of the same database.
func TestListenAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(quick)
	ctx := t.Context()
	url, other := storetest.URL(t), storetest.URL(t)
	direct := storetest.NewProxy(t, url)
	pool := protocol.Pool{Name: "x", URI: url, ListenURI: other, Weight: 1}
	wantErr(t, "another database", r.CreatePool(ctx, pool), protocol.ErrPoolUnfit)
	pool.ListenURI = "postgres://127.0.0.1:1/x"
	wantErr(t, "one that does not answer", r.CreatePool(ctx, pool), protocol.ErrPoolUnreachable)
	pool.ListenURI = direct.URL()
	wantErr(t, "the same database", r.CreatePool(ctx, pool), nil)
	w.post(r, w.place(r, "q", w.mustID(r, "x")), "a")
	for uri, want := range map[string]error{other: protocol.ErrPoolUnfit, "": nil} {
		_, err := r.UpdatePool(ctx, "x", protocol.PoolChange{ListenURI: &uri})
		wantErr(t, "a change to "+uri, err, want)
	}
	if got, err := r.Pool(ctx, "x"); err != nil || got.ListenURI != "" {
		t.Errorf("the pool is %+v, %v", got, err)
	}
}

func TestDefaultPoolIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.router(func(cfg *Config) { cfg.DefaultWeight = 7 })
	got, err := r.Pool(t.Context(), protocol.DefaultPool)
	want := &protocol.Pool{Name: "default", URI: w.url, Weight: 7, Options: []byte("{}")}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	bad := Config{DefaultWeight: -1}
	err := bad.Check()
	for _, name := range []string{"DefaultWeight", "MaxConns", "Routes", "Poll", "ConnectTimeout", "RetryMin", "Ping", "HealthTimeout", "VolumeTimeout"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %v", name, err)
		}
	}
}
