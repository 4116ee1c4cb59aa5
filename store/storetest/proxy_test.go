package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// insertTwo is a pipeline of two statements and one Sync: one implicit transaction, as the store's flusher sends it.
func insertTwo(ctx context.Context, conn *pgx.Conn, first int) error {
	var batch pgx.Batch
	batch.Queue("INSERT INTO note VALUES ($1, 'a')", first)
	batch.Queue("INSERT INTO note VALUES ($1, 'b')", first+1)
	return conn.SendBatch(ctx, &batch).Close()
}

func countNotes(t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM note").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// prepared connects and runs the pipeline once, so that its statements are described and the next run is one Sync.
func prepared(t *testing.T, p *Proxy) *pgx.Conn {
	t.Helper()
	conn := connect(t, p.URL())
	if err := insertTwo(t.Context(), conn, 1); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestProxyPassesEverythingOn(t *testing.T) {
	t.Parallel()
	url := URL(t)
	conn := connect(t, NewProxy(t, url).URL())
	long := make([]byte, 3<<20)
	for i := range long {
		long[i] = 'x'
	}
	var back string
	if err := conn.QueryRow(t.Context(), "SELECT $1::text", string(long)).Scan(&back); err != nil || back != string(long) {
		t.Errorf("3 MiB came back as %d bytes, %v", len(back), err)
	}
	rows := [][]any{{1, "one"}, {2, "two"}}
	if n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"note"}, []string{"id", "text"}, pgx.CopyFromRows(rows)); err != nil || n != 2 {
		t.Errorf("COPY stored %d rows, %v", n, err)
	}
	var pgErr *pgconn.PgError
	if _, err := conn.Exec(t.Context(), "SELECT 1/0"); !errors.As(err, &pgErr) || pgErr.Code != "22012" {
		t.Errorf("an error came back as %v", err)
	}
	if n := countNotes(t, conn); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestProxyCancelsAQueryOfTheServer(t *testing.T) {
	t.Parallel()
	conn := connect(t, NewProxy(t, URL(t)).URL())
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(60)")
		done <- err
	}()
	for cancelled := false; !cancelled; { // it has no effect until the query runs
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || pgErr.Code != "57014" {
				t.Errorf("the cancelled query says %v", err)
			}
			cancelled = true
		default:
		}
	}
}

func TestProxyDrops(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		arm       func(*Proxy, Match) <-chan struct{}
		committed bool
	}{
		{"before Sync", (*Proxy).DropBeforeSync, false},
		{"during the answer", (*Proxy).DropDuringSync, true},
		{"after Sync", (*Proxy).DropAfterSync, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := URL(t)
			p := NewProxy(t, url)
			conn, direct := prepared(t, p), connect(t, url)
			fired := tt.arm(p, Match{SQL: "INSERT INTO note"})
			if n := countNotes(t, conn); n != 2 { // another statement's Sync does not match
				t.Fatalf("%d rows before the fault", n)
			}
			err := insertTwo(t.Context(), conn, 3)
			if err == nil {
				t.Fatal("the client was told of success")
			}
			var pgErr *pgconn.PgError
			if errors.As(err, &pgErr) {
				t.Errorf("the client was told of a definite error: %v", err)
			}
			<-fired
			want := 2
			if tt.committed {
				want = 4
			}
			if n := countNotes(t, direct); n != want {
				t.Errorf("%d rows are stored, want %d", n, want)
			}
		})
	}
}

// The client sees every statement succeed and still must not take that for a commit.
func TestProxyDropDuringSyncShowsTheStatementsAnswers(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, URL(t))
	conn := prepared(t, p)
	p.DropDuringSync(Match{SQL: "INSERT INTO note"})
	var batch pgx.Batch
	batch.Queue("INSERT INTO note VALUES ($1, 'a')", 3)
	batch.Queue("INSERT INTO note VALUES ($1, 'b')", 4)
	results := conn.SendBatch(t.Context(), &batch)
	for range 2 {
		if tag, err := results.Exec(); err != nil || tag.RowsAffected() != 1 {
			t.Errorf("a statement's own answer: %v, %v", tag, err)
		}
	}
	if err := results.Close(); err == nil {
		t.Error("the pipeline was told of success without a whole ReadyForQuery")
	}
}

func TestProxyDropAfterSyncShowsNothingOfTheAnswer(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, URL(t))
	conn := prepared(t, p)
	p.DropAfterSync(Match{SQL: "INSERT INTO note"})
	var batch pgx.Batch
	batch.Queue("INSERT INTO note VALUES ($1, 'a')", 3)
	results := conn.SendBatch(t.Context(), &batch)
	if tag, err := results.Exec(); err == nil {
		t.Errorf("a statement's answer came through: %v", tag)
	}
	if err := results.Close(); err == nil {
		t.Error("the pipeline was told of success")
	}
}

func TestProxyCountsToTheNthSync(t *testing.T) {
	t.Parallel()
	url := URL(t)
	p := NewProxy(t, url)
	conn, direct := prepared(t, p), connect(t, url)
	before := p.Syncs()
	fired := p.DropBeforeSync(Match{Nth: 3})
	for i, wantErr := range []bool{false, false, true} {
		if err := insertTwo(t.Context(), conn, 10*(i+1)); (err != nil) != wantErr {
			t.Fatalf("pipeline %d: %v", i+1, err)
		}
	}
	<-fired
	if n := countNotes(t, direct); n != 6 {
		t.Errorf("%d rows are stored, want 6", n)
	}
	if n := p.Syncs() - before; n != 3 {
		t.Errorf("%d Syncs were counted, want 3", n)
	}
}

func TestProxyHoldsASyncWithItsLocks(t *testing.T) {
	t.Parallel()
	url := URL(t)
	p := NewProxy(t, url)
	conn, direct := prepared(t, p), connect(t, url)
	held, release := p.HoldSync(Match{SQL: "UPDATE note"})
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "UPDATE note SET text = 'held' WHERE id = $1", pgx.QueryExecModeExec, 1)
		done <- err
	}()
	<-held
	// The statement is at the server when held is closed, its lock an instant later.
	const locked = "55P03"
	for isLocked := false; !isLocked; {
		_, err := direct.Exec(t.Context(), "SELECT 1 FROM note WHERE id = 1 FOR UPDATE NOWAIT")
		var pgErr *pgconn.PgError
		if isLocked = errors.As(err, &pgErr) && pgErr.Code == locked; !isLocked && err != nil {
			t.Fatal(err)
		}
	}
	release()
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var text string
	if err := direct.QueryRow(t.Context(), "SELECT text FROM note WHERE id = 1").Scan(&text); err != nil || text != "held" {
		t.Errorf("after the release: %q, %v", text, err)
	}
}

func TestProxyFreezesAndThaws(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, URL(t))
	conn := prepared(t, p)
	p.Freeze()
	p.Freeze()
	done := make(chan error, 1)
	go func() { done <- insertTwo(context.Background(), conn, 3) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if late, err := pgx.Connect(ctx, p.URL()); err == nil {
		_ = late.Close(ctx)
		t.Error("a connection was made through a frozen proxy")
	}
	select {
	case err := <-done:
		t.Fatalf("an answer came through a frozen proxy: %v", err)
	default:
	}
	p.Thaw()
	p.Thaw()
	if err := <-done; err != nil {
		t.Errorf("after the thaw: %v", err)
	}
}

func TestProxyDelaysEachSync(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, URL(t))
	conn := prepared(t, p)
	const delay = 30 * time.Millisecond
	p.Delay(delay)
	start := time.Now()
	if err := insertTwo(t.Context(), conn, 3); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < delay {
		t.Errorf("a pipeline took %v, want at least %v", took, delay)
	}
}

func TestProxyDropsAllAndRefuses(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, URL(t))
	conn := prepared(t, p)
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	p.Refuse(true)
	p.DropAll()
	if err := insertTwo(t.Context(), conn, 3); err == nil {
		t.Error("a cut connection still answers")
	}
	if late, err := pgx.Connect(t.Context(), p.URL()); err == nil {
		_ = late.Close(t.Context())
		t.Error("a connection was made while they are refused")
	}
	p.Refuse(false)
	connect(t, p.URL())
}

func TestMatchPicks(t *testing.T) {
	t.Parallel()
	sqls := []string{"SELECT 1", "INSERT INTO note VALUES ($1)"}
	for sql, want := range map[string]bool{"": true, "INTO note": true, "into note": false, "INTO message": false} {
		if got := (Match{SQL: sql}).picks(sqls); got != want {
			t.Errorf("%q picks %v, want %v", sql, got, want)
		}
	}
}
