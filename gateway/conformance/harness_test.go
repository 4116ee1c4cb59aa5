package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/notifier"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/pools"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(url string) error { return store.Migrate(context.Background(), url, zerolog.Nop()) })
}

// node is a gateway with its store.
type node struct {
	t    *testing.T
	gw   *gateway.Gateway
	addr string
}

// observer tells the gateway what its store did and, if there is a notifier, other gateways which subscriptions ended.
type observer struct {
	gw    *gateway.Gateway
	hints *notifier.Notifier
}

func (o observer) Committed(batch []protocol.Committed)           { o.gw.Committed(batch) }
func (o observer) QueueChanged(key protocol.QueueKey, id int64)   { o.gw.QueueChanged(key, id) }
func (o observer) Released(_ protocol.QueueKey, _ int64, _ int64) {}

func (o observer) SubscriptionsChanged(key protocol.QueueKey) {
	if o.hints != nil {
		o.hints.SubscriptionsChanged(key)
	}
}

// sink hands on what a linked gateway hears of others: of the hints, only those of subscriptions.
type sink struct {
	gw *gateway.Gateway
	// connected gets one event whenever other gateways may be heard.
	connected chan struct{}
}

func (s sink) Wake(int64, int64)                          {}
func (s sink) QueueChanged(protocol.QueueKey, int64)      {}
func (s sink) Released(int64, int64)                      {}
func (s sink) SubscriptionsChanged(key protocol.QueueKey) { s.gw.SubscriptionsChanged(key) }
func (s sink) Reconnected() {
	select {
	case s.connected <- struct{}{}:
	default:
	}
}

// link connects a node to the others of its database by a notifier and waits until it hears them.
func (n *node) link(url string, id uuid.UUID) *notifier.Notifier {
	n.t.Helper()
	cfg := notifier.DefaultConfig()
	cfg.ListenURL = url
	heard := sink{gw: n.gw, connected: make(chan struct{}, 1)}
	hints, err := notifier.New(cfg, id, heard, zerolog.Nop())
	if err != nil {
		n.t.Fatal(err)
	}
	hints.Start()
	n.t.Cleanup(func() {
		// t's own context has ended by now.
		if err := hints.Stop(context.Background()); err != nil {
			n.t.Errorf("stop notifier: %v", err)
		}
	})
	<-heard.connected
	return hints
}

// startNode starts a gateway over the database at url. Gateways of one test hear nothing of one another but through
// the database.
func startNode(t *testing.T, url string, change func(*gateway.Config)) *node {
	t.Helper()
	return start(t, url, nodeOptions{change: change})
}

// nodeOptions are what a test may want of its gateway.
type nodeOptions struct {
	change func(*gateway.Config)
	// linked gateways tell one another of subscriptions that they end, told ones of everything.
	linked, told bool
}

func start(t *testing.T, url string, opt nodeOptions) *node {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.DatabaseURL = url
	cfg.StatsClaimedAge = 0 // what was claimed a moment ago is to show
	router, err := pools.Open(t.Context(), pools.DefaultConfig(), pools.Parts{Store: cfg}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	gcfg := gateway.DefaultConfig()
	if opt.change != nil {
		opt.change(&gcfg)
	}
	n := &node{t: t, gw: gateway.New(gcfg, router, zerolog.Nop())}
	err = router.Start(func(p pools.Attached) (pools.Attachment, error) {
		tell := observer{gw: n.gw}
		if opt.linked {
			tell.hints = n.link(p.ListenURL, p.Store.GatewayID())
		}
		p.Store.SetObserver(tell)
		if opt.told {
			n.tellAll(p)
		}
		return pools.Attachment{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n.gw.Start()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- n.gw.Serve(ln) }()
	t.Cleanup(func() {
		// t's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(n.gw.Stop(ctx), <-served); err != nil {
			t.Errorf("stop gateway: %v", err)
		}
		router.Stop(ctx)
	})
	return n
}

// conn is a WebSocket connection; it implements golden.Conn.
type conn struct {
	ws     *websocket.Conn
	frames chan frame
}

type frame struct {
	binary  bool
	payload []byte
}

func (n *node) dial(subprotocols ...string) (*conn, error) {
	transport := &http.Transport{}
	ws, _, err := websocket.Dial(n.t.Context(), "ws://"+n.addr+"/", &websocket.DialOptions{
		Subprotocols: subprotocols, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(8 << 20)
	c := &conn{ws: ws, frames: make(chan frame, 10000)}
	go func() {
		defer close(c.frames)
		for {
			kind, payload, err := ws.Read(context.Background()) // ends with the connection
			if err != nil {
				return
			}
			c.frames <- frame{kind == websocket.MessageBinary, payload}
		}
	}()
	return c, nil
}

func (c *conn) Send(binary bool, payload []byte) error {
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	return c.ws.Write(context.Background(), kind, payload)
}

func (c *conn) Receive(timeout time.Duration) (bool, []byte, error) {
	select {
	case f, ok := <-c.frames:
		if !ok {
			return false, nil, errors.New("connection closed")
		}
		return f.binary, f.payload, nil
	case <-time.After(timeout):
		return false, nil, errors.New("no frame in time")
	}
}

func (c *conn) Close() error { return c.ws.Close(websocket.StatusNormalClosure, "") }

// client speaks action frames over one connection.
type client struct {
	*conn
	t        *testing.T
	clientID string
	project  string
	pushes   []map[string]any
	id       int
}

func (n *node) client(subprotocols ...string) *client {
	n.t.Helper()
	c, err := n.dial(subprotocols...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	return &client{conn: c, t: n.t, clientID: uuid.NewString(), project: "p"}
}

// receive returns the next frame.
func (c *client) receive() map[string]any {
	c.t.Helper()
	_, payload, err := c.Receive(20 * time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	var frame map[string]any
	if err := json.Unmarshal(payload, &frame); err != nil {
		c.t.Fatalf("frame %q: %v", payload, err)
	}
	return frame
}

// do sends an action on queue q and returns the reply's status and body. Pushes that come meanwhile are kept.
func (c *client) do(action string, body map[string]any) (status int, reply any) {
	c.t.Helper()
	full := map[string]any{"queue_name": "q"}
	maps.Copy(full, body)
	return c.send(map[string]any{
		"action": action, "body": full, "headers": map[string]any{"Client-ID": c.clientID, "X-Project-ID": c.project},
	})
}

// doCompact is do with an id.
func (c *client) doCompact(action string, body map[string]any) (status int, reply any) {
	c.t.Helper()
	c.id++
	full := map[string]any{"queue_name": "q"}
	maps.Copy(full, body)
	return c.send(map[string]any{
		"id": c.id, "action": action, "body": full,
		"headers": map[string]any{"Client-ID": c.clientID, "X-Project-ID": c.project},
	})
}

func (c *client) send(frame map[string]any) (status int, reply any) {
	c.t.Helper()
	payload, err := json.Marshal(frame)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.Send(false, payload); err != nil {
		c.t.Fatal(err)
	}
	for {
		answer := c.receive()
		if _, push := answer["Message_Type"]; push {
			c.pushes = append(c.pushes, answer)
			continue
		}
		headers := answer["headers"].(map[string]any)
		return int(headers["status"].(float64)), answer["body"]
	}
}

// must is do for an action that has to succeed.
func (c *client) must(status int, action string, body map[string]any) any {
	c.t.Helper()
	got, reply := c.do(action, body)
	if got != status {
		c.t.Fatalf("%s: status %d, want %d: %v", action, got, status, reply)
	}
	return reply
}

// post posts bodies and returns the ids.
func (c *client) post(bodies ...any) []string {
	c.t.Helper()
	var messages []any
	for _, body := range bodies {
		messages = append(messages, map[string]any{"body": body, "ttl": 300})
	}
	reply := c.must(201, "message_post", map[string]any{"messages": messages})
	var ids []string
	for _, id := range reply.(map[string]any)["message_ids"].([]any) {
		ids = append(ids, id.(string))
	}
	return ids
}

// awaitPushes waits until n pushes have come and returns them as short texts.
func (c *client) awaitPushes(n int) (list []string) {
	c.t.Helper()
	for len(c.pushes) < n {
		answer := c.receive()
		if _, push := answer["Message_Type"]; !push {
			c.t.Fatalf("%v is not a push", answer)
		}
		c.pushes = append(c.pushes, answer)
	}
	for _, p := range c.pushes {
		if p["Message_Type"] == "Gap" {
			gap := p["body"].(map[string]any)
			list = append(list, fmt.Sprintf("%v %v-%v", gap["reason"], gap["from"], gap["to"]))
			continue
		}
		list = append(list, fmt.Sprint(p["body"]))
	}
	return list
}
