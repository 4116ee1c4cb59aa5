package storetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) {
	Main(m, func(url string) error {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE note (id int PRIMARY KEY, text text)")
		return err
	})
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) }) // some tests have broken it
	return conn
}

func TestURLGivesEachTestItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	first, second := connect(t, URL(t)), connect(t, URL(t))
	if _, err := first.Exec(t.Context(), "INSERT INTO note VALUES (1, 'one')"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := second.QueryRow(t.Context(), "SELECT count(*) FROM note").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("the second database holds %d rows of the first", n)
	}
}
