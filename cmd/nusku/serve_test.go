package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// wireClient is a session with a gateway, as thin as can be: the tests below are about the program.
type wireClient struct {
	t    *testing.T
	conn *websocket.Conn
	id   string
}

func dial(t *testing.T, addr string) *wireClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &wireClient{t: t, conn: conn, id: uuid.NewString()}
}

// ask sends a frame and returns the reply's status and body.
func (c *wireClient) ask(action string, body map[string]any) (status int, reply map[string]any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	frame, err := json.Marshal(map[string]any{
		"id": 1, "action": action, "body": body,
		"headers": map[string]string{"Client-ID": c.id, "X-Project-ID": "p"},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(ctx, websocket.MessageText, frame); err != nil {
		c.t.Fatal(err)
	}
	_, answer, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var r struct {
		Headers struct{ Status int }
		Body    map[string]any
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		c.t.Fatalf("%v in %s", err, answer)
	}
	return r.Headers.Status, r.Body
}

// post posts a message and returns the status.
func (c *wireClient) post(body any) int {
	c.t.Helper()
	status, _ := c.ask("message_post", map[string]any{"queue_name": "q", "messages": []any{map[string]any{"body": body, "ttl": 300}}})
	return status
}

// bodies lists the bodies of the queue's messages. A database that has just come back may cost it a few attempts.
func (c *wireClient) bodies() []any {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		status, reply := c.ask("message_list", map[string]any{"queue_name": "q", "echo": true, "limit": 20})
		if status == http.StatusServiceUnavailable && time.Now().Before(deadline) {
			continue
		}
		if status != http.StatusOK {
			c.t.Fatalf("message_list: %d %v", status, reply)
		}
		var bodies []any
		for _, m := range reply["messages"].([]any) {
			bodies = append(bodies, m.(map[string]any)["body"])
		}
		return bodies
	}
}

func httpStatus(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestServe(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	ready := filepath.Join(t.TempDir(), "ready")
	p, addr := serve(t, dir, "--ready-file="+ready)

	if written, err := os.ReadFile(ready); err != nil || strings.TrimSpace(string(written)) != addr {
		t.Errorf("ready file has %q, error %v; the address is %s", written, err, addr)
	}
	// The root is the versions of the API to a program and a page to a browser; cmd/e2e looks at the page.
	for path, want := range map[string]int{
		"/livez": http.StatusOK, "/readyz": http.StatusOK, "/": http.StatusMultipleChoices,
		"/examples/try.html": http.StatusOK, "/docs/": http.StatusOK, "/docs/api": http.StatusOK,
	} {
		if status, body := httpStatus(t, "http://"+addr+path); status != want || body == "" {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	if status := dial(t, addr).post("first"); status != http.StatusCreated {
		t.Errorf("post: %d", status)
	}

	code, _, stderr := execute(t, "serve", "--listen=127.0.0.1:0", "--data-dir="+dir)
	if code != exitFailed || !strings.Contains(stderr, dir) {
		t.Errorf("a second gateway on the same data: exit code %d, %s", code, stderr)
	}
	code, _, stderr = execute(t, "serve", "--listen="+addr, "--data-dir="+dir)
	if code != exitFailed || !strings.Contains(stderr, "listen on "+addr) {
		t.Errorf("a second gateway on the same port: exit code %d, %s", code, stderr)
	}

	// Killed, it comes back with what it acknowledged.
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	p, addr = serve(t, dir)
	c := dial(t, addr)
	if bodies := c.bodies(); len(bodies) != 1 || bodies[0] != "first" {
		t.Errorf("after kill -9 there is %v", bodies)
	}

	// Asked to stop, it tells its sessions and ends well.
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := c.conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the session ended with %v, want 1001", err)
	}
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if !strings.Contains(p.written(), `"message":"stopped"`) {
		t.Errorf("no ordered end:\n%s", p.written())
	}
}

func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	args := []string{"serve", "--listen=127.0.0.1:0", "--data-dir=" + dataDir(t)}
	if code := run(ctx, args, io.Discard, &stderr); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

// testNode starts a gateway in this process, for tests that look inside. change may change its settings.
func testNode(t *testing.T, change func(*config.Settings)) *node {
	t.Helper()
	cfg := config.DefaultSettings()
	cfg.Listen = "127.0.0.1:0"
	cfg.Postgres.DataDir = dataDir(t)
	cfg.Postgres.Unsafe = true
	change(cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := startNode(ctx, cfg, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// The postmaster is killed: the session stays, posts are refused for a moment, and nothing that was acknowledged is
// missing afterwards.
func TestDatabaseDiesAndComesBack(t *testing.T) {
	t.Parallel()
	n := testNode(t, func(s *config.Settings) { s.Postgres.Unsafe = false })
	c := dial(t, n.addr())
	if status := c.post(0); status != http.StatusCreated {
		t.Fatalf("post: %d", status)
	}
	acknowledged := map[float64]bool{0: true}
	pid := n.postgres.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for i, back := 1.0, false; !back && i < 20; i++ {
		switch status := c.post(i); status {
		case http.StatusCreated:
			acknowledged[i] = true
			back = n.postgres.PID() != pid && n.postgres.PID() != 0
		case http.StatusServiceUnavailable:
		default:
			t.Fatalf("post: %d", status)
		}
	}
	if len(acknowledged) < 2 {
		t.Error("no post was taken after the database came back")
	}
	for _, body := range c.bodies() {
		delete(acknowledged, body.(float64))
	}
	if len(acknowledged) != 0 {
		t.Errorf("acknowledged and lost: %v", acknowledged)
	}
}

// What is posted through one gateway is pushed by another of the same database, long before the poll that backs up the
// notifications would find it.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	seldom := func(s *config.Settings) { s.Gateway.Push.PollInterval = time.Hour }
	a := testNode(t, seldom)
	b := testNode(t, func(s *config.Settings) {
		seldom(s)
		s.DatabaseURL = a.postgres.URL()
		s.UseDatabase(s.DatabaseURL)
	})
	poster, subscriber := dial(t, a.addr()), dial(t, b.addr())
	if status, reply := subscriber.ask("subscription_create", map[string]any{"queue_name": "q", "ttl": 600}); status != http.StatusCreated {
		t.Fatalf("subscribe: %d %v", status, reply)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := range 20 {
		if status := poster.post(n); status != http.StatusCreated {
			t.Fatalf("post: %d", status)
		}
		_, frame, err := subscriber.conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var push struct {
			Body int    `json:"body"`
			Type string `json:"Message_Type"`
		}
		if err := json.Unmarshal(frame, &push); err != nil || push.Type != "Notification" || push.Body != n {
			t.Fatalf("push %d is %s, error %v", n, frame, err)
		}
	}
}

func TestStartFailsWhole(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := config.DefaultSettings()
	cfg.Listen = taken.Addr().String()
	cfg.Postgres.DataDir = filepath.Join(dataDir(t), "never made")
	if _, err := startNode(t.Context(), cfg, zerolog.Nop()); err == nil {
		t.Fatal("started on a port that is taken")
	}
	if _, err := os.Stat(cfg.Postgres.DataDir); !os.IsNotExist(err) {
		t.Errorf("the data folder was made although the port is taken: %v", err)
	}
}

func TestProgramName(t *testing.T) {
	t.Parallel()
	for arg0, want := range map[string]string{
		"nusku": "nusku", "bin/nusku": "bin/nusku", "/opt/café/nusku": "/opt/café/nusku",
		"/my files/nusku": "'/my files/nusku'", "/it's/nusku": `'/it'\''s/nusku'`,
	} {
		if got := programName(arg0); got != want {
			t.Errorf("%s is typed as %s, want %s", arg0, got, want)
		}
	}
}
