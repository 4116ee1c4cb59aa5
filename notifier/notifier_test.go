package notifier

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m, nil) }

// patience is how long a test waits for an event before it fails.
const patience = 20 * time.Second

// event is a call of a Sink's method.
type event struct {
	kind       byte // as in hints; '!' is Reconnected
	queueID, n int64
	key        protocol.QueueKey
}

var reconnected = event{kind: '!'}

// recorder is a Sink that passes events to the test, which has to take them.
type recorder chan event

func (r recorder) Wake(queueID, head int64)  { r <- event{kind: kindWake, queueID: queueID, n: head} }
func (r recorder) Released(queueID, n int64) { r <- event{kind: kindReleased, queueID: queueID, n: n} }
func (r recorder) Reconnected()              { r <- reconnected }
func (r recorder) QueueChanged(key protocol.QueueKey, queueID int64) {
	r <- event{kind: kindChanged, queueID: queueID, key: key}
}

func (r recorder) SubscriptionsChanged(key protocol.QueueKey) {
	r <- event{kind: kindSubscriptions, key: key}
}

// await takes events until want comes.
func (r recorder) await(t *testing.T, want event) {
	t.Helper()
	r.awaitAny(t, func(e event) bool { return e == want })
}

func (r recorder) awaitAny(t *testing.T, found func(event) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-r:
			if found(e) {
				return
			}
		case <-timeout:
			t.Fatal("the event did not come")
		}
	}
}

// start returns a notifier that runs until the test's end.
func start(t *testing.T, url string, change func(*Config)) (*Notifier, recorder) {
	t.Helper()
	events := make(recorder, 100_000)
	n := build(t, url, events, zerolog.Nop(), change)
	n.Start()
	return n, events
}

func build(t *testing.T, url string, sink Sink, log zerolog.Logger, change func(*Config)) *Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.ListenURL = url
	cfg.ReconnectMin, cfg.ReconnectMax = 10*time.Millisecond, 50*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg, uuid.New(), sink, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return n
}

// pair returns two notifiers that know of one another.
func pair(t *testing.T, urlA, urlB string, change func(*Config)) (a, b *Notifier, eventsA, eventsB recorder) {
	t.Helper()
	a, eventsA = start(t, urlA, change)
	eventsA.await(t, reconnected)
	b, eventsB = start(t, urlB, change)
	eventsB.await(t, reconnected) // LISTEN is in place
	eventsB.await(t, reconnected) // and a has answered the hello
	eventsA.await(t, reconnected) // and b a's
	return a, b, eventsA, eventsB
}

func TestHintsReachTheOther(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	a, b, eventsA, eventsB := pair(t, url, url, nil)
	key := protocol.QueueKey{Project: "ein Projekt: ä", Name: "q"}
	a.Dirty(7, 42)
	eventsB.await(t, event{kind: kindWake, queueID: 7, n: 42})
	a.Released(7, 40)
	eventsB.await(t, event{kind: kindReleased, queueID: 7, n: 40})
	a.QueueChanged(key, 7)
	eventsB.await(t, event{kind: kindChanged, queueID: 7, key: key})
	a.SubscriptionsChanged(key)
	eventsB.await(t, event{kind: kindSubscriptions, key: key})
	b.Dirty(8, 1)
	eventsA.awaitAny(t, func(e event) bool {
		if e.queueID == 7 {
			t.Errorf("own hint came back: %v", e)
		}
		return e.queueID == 8
	})
}

func TestManyQueuesAtOnce(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	a, _, _, eventsB := pair(t, url, url, nil)
	const queues = 8000 // more than ten payloads
	for id := range int64(queues) {
		a.Dirty(id+1, 1<<40+id)
	}
	got := make(map[int64]bool)
	eventsB.awaitAny(t, func(e event) bool {
		if e.kind == kindWake && e.n == 1<<40+e.queueID-1 {
			got[e.queueID] = true
		}
		return len(got) == queues
	})
}

func TestPastTheBoundEverythingIsSent(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.URL(t))
	a, _, _, eventsB := pair(t, proxy.URL(), proxy.URL(), func(c *Config) { c.MaxPending = 10 })
	held, release := proxy.HoldSync(storetest.Match{SQL: "pg_notify"})
	a.Dirty(1, 1)
	<-held
	for id := range int64(11) {
		a.Dirty(id+2, 1)
	}
	release()
	eventsB.await(t, reconnected)
}

func TestAloneSendsNothing(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	spy := listenRaw(t, url)
	a, _ := start(t, url, func(c *Config) { c.HelloInterval = 100 * time.Millisecond })
	hellos := func(n int) {
		t.Helper()
		for range n {
			payload := spy(t)
			_, hints, err := parse(payload)
			if err != nil || len(hints) != 1 || hints[0].kind != kindHello {
				t.Fatalf("got %q, error %v", payload, err)
			}
		}
	}
	hellos(5) // one on LISTEN and one for each interval: the others have had time to answer
	a.Dirty(1, 1)
	a.Released(1, 1)
	a.QueueChanged(protocol.QueueKey{Name: "q"}, 1)
	a.SubscriptionsChanged(protocol.QueueKey{Name: "q"})
	hellos(2)

	// A newcomer is told that everything may have changed, and then of each change.
	_, eventsB := start(t, url, func(c *Config) { c.HelloInterval = 100 * time.Millisecond })
	eventsB.await(t, reconnected)
	eventsB.await(t, reconnected)
	a.Dirty(1, 2)
	eventsB.await(t, event{kind: kindWake, queueID: 1, n: 2})
}

// listenRaw returns a function that waits for the next payload.
func listenRaw(t *testing.T, url string) func(*testing.T) string {
	t.Helper()
	conn := connectRaw(t, url)
	if _, err := conn.Exec(t.Context(), "LISTEN nusku"); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return notification.Payload
	}
}

func connectRaw(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestDroppedConnections(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	proxyA, proxyB := storetest.NewProxy(t, url), storetest.NewProxy(t, url)
	a, _, _, eventsB := pair(t, proxyA.URL(), proxyB.URL(), nil)

	// The receiver's connections go: it says so when it listens again, and hears what comes then.
	proxyB.DropAll()
	eventsB.await(t, reconnected)
	a.Dirty(1, 1)
	eventsB.await(t, event{kind: kindWake, queueID: 1, n: 1})

	// The sender's go, with the database away for a while: what it had to say comes later.
	proxyA.Refuse(true)
	proxyA.DropAll()
	a.Dirty(2, 5)
	a.Dirty(3, 6)
	a.Dirty(2, 7)
	proxyA.Refuse(false)
	got := make(map[event]bool)
	eventsB.awaitAny(t, func(e event) bool {
		got[e] = true
		return got[event{kind: kindWake, queueID: 2, n: 7}] && got[event{kind: kindWake, queueID: 3, n: 6}]
	})
}

func TestUnknownOutcomeIsSentAgain(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	proxy := storetest.NewProxy(t, url)
	a, _, _, eventsB := pair(t, proxy.URL(), url, nil)
	for n, drop := range []func(storetest.Match) <-chan struct{}{proxy.DropBeforeSync, proxy.DropDuringSync, proxy.DropAfterSync} {
		fired := drop(storetest.Match{SQL: "pg_notify"})
		a.Dirty(1, int64(n)+1)
		<-fired
		eventsB.await(t, event{kind: kindWake, queueID: 1, n: int64(n) + 1})
	}
}

func TestFrozenConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.URL(t))
	noticed := make(logSignal, 100)
	events := make(recorder, 100)
	n := build(t, proxy.URL(), events, zerolog.New(noticed), func(c *Config) {
		c.Timeout, c.CheckInterval = 200*time.Millisecond, 100*time.Millisecond
	})
	n.Start()
	events.await(t, reconnected)
	proxy.Freeze()
	select {
	case <-noticed:
	case <-time.After(patience):
		t.Fatal("nobody noticed that the connection is dead")
	}
	proxy.Thaw()
	events.await(t, reconnected)
}

// logSignal is a log that says when the listener has lost its connection.
type logSignal chan struct{}

func (l logSignal) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("not hearing other gateways")) {
		select {
		case l <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

func TestDatabaseAwayAtStart(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.URL(t))
	proxy.Refuse(true)
	_, events := start(t, proxy.URL(), nil)
	proxy.Refuse(false)
	events.await(t, reconnected)
}

func TestStartAndStopAgain(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	never := build(t, url, make(recorder, 1), zerolog.Nop(), nil)
	if err := never.Stop(t.Context()); err != nil {
		t.Errorf("stop without start: %v", err)
	}
	never.Start()
	if never.cancel != nil {
		t.Error("started after it was stopped")
	}
	n, events := start(t, url, nil)
	n.Start()
	events.await(t, reconnected)
	for range 2 {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	n.Dirty(1, 1) // does no harm
	if len(events) != 0 {
		t.Errorf("started twice: %v", <-events)
	}
}

func TestStopGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.URL(t))
	a, _, _, _ := pair(t, proxy.URL(), proxy.URL(), func(c *Config) { c.Timeout = time.Second })
	proxy.Freeze()
	a.Dirty(1, 1)
	reason := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if err := a.Stop(ctx); !errors.Is(err, reason) {
		t.Errorf("Stop returned %v", err)
	}
	proxy.Thaw()
}

func TestStopSendsWhatIsPending(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	a, _, _, eventsB := pair(t, url, url, nil)
	a.Dirty(1, 99)
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventsB.await(t, event{kind: kindWake, queueID: 1, n: 99})
}

func TestBadPayloadsAreIgnored(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	var log lockedBuffer
	events := make(recorder, 100)
	b := build(t, url, events, zerolog.New(&log), nil)
	b.Start()
	events.await(t, reconnected)
	conn := connectRaw(t, url)
	good := pack(uuid.New(), []hint{{kind: kindWake, queueID: 5, n: 6}}, maxPayload)[0]
	for _, payload := range []string{"", "hello", "n2", "n9 x", strings.Repeat("n2 ", 2000), good} {
		if _, err := conn.Exec(t.Context(), "SELECT pg_notify('nusku', $1)", payload); err != nil {
			t.Fatal(err)
		}
	}
	if e := <-events; e != (event{kind: kindWake, queueID: 5, n: 6}) {
		t.Errorf("got %v", e)
	}
	if lines := strings.Count(log.String(), "ignored a notification"); lines != 1 {
		t.Errorf("%d lines in the log, want 1:\n%s", lines, log.String())
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no URL":         func(c *Config) { c.ListenURL = "" },
		"bad URL":        func(c *Config) { c.ListenURL = "postgres://u:secret@host:port" },
		"no channel":     func(c *Config) { c.Channel = "" },
		"long channel":   func(c *Config) { c.Channel = strings.Repeat("c", 64) },
		"no pending":     func(c *Config) { c.MaxPending = 0 },
		"no timeout":     func(c *Config) { c.Timeout = 0 },
		"no interval":    func(c *Config) { c.HelloInterval = 0 },
		"crossed delays": func(c *Config) { c.ReconnectMin = time.Hour },
	} {
		cfg := DefaultConfig()
		cfg.ListenURL = "postgres:///"
		change(&cfg)
		_, err := New(cfg, uuid.New(), recorder(nil), zerolog.Nop())
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error shows the password: %v", name, err)
		}
	}
}
