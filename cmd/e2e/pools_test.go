package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
	"github.com/nusku-messaging/nusku/store/pgserver"
)

// otherDatabase is a second PostgreSQL, which can be stopped and started again.
type otherDatabase struct {
	t      *testing.T
	dir    string
	server *pgserver.Server
}

func startOther(t *testing.T) *otherDatabase {
	t.Helper()
	dir, err := os.MkdirTemp(shared.dir, "pool-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := &otherDatabase{t: t, dir: filepath.Join(dir, "db")}
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *otherDatabase) start() {
	d.t.Helper()
	server, err := pgserver.Start(within(d.t), pgserver.Config{DataDir: d.dir, Unsafe: true})
	if err != nil {
		d.t.Fatal(err)
	}
	d.server = server
}

// stop may be called again.
func (d *otherDatabase) stop() {
	if d.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the test's own may have ended
	defer cancel()
	if err := d.server.Stop(ctx); err != nil {
		d.t.Error(err)
	}
	d.server = nil
}

// poolHealth is what /v2/health says of one pool.
type poolHealth struct {
	Reachable bool                  `json:"storage_reachable"`
	Volume    struct{ Total int64 } `json:"message_volume"`
}

// health asks for the pools by name.
func (c *restClient) health() (catalog bool, pools map[string]poolHealth) {
	c.t.Helper()
	var answer map[string]json.RawMessage
	c.admin().do(200, "GET", "/v2/health", nil, &answer)
	pools = map[string]poolHealth{}
	for name, text := range answer {
		var err error
		if name == "catalog_reachable" {
			err = json.Unmarshal(text, &catalog)
		} else {
			var h poolHealth
			err = json.Unmarshal(text, &h)
			pools[name] = h
		}
		if err != nil {
			c.t.Fatalf("%s is %s: %v", name, text, err)
		}
	}
	return catalog, pools
}

// TestTwoPools: queues spread over the pools; with one pool's database stopped, the queues of the other keep working and
// health names the sick one; nothing is lost when it is back, and what waited goes on.
func TestTwoPools(t *testing.T) {
	t.Parallel()
	const queues = 40
	g := own(t)
	c := g.rest(t)
	other := startOther(t)
	c.admin().do(201, "PUT", "/v2/pools/near", map[string]any{"uri": "embedded://local/near", "weight": 100}, nil)
	c.admin().do(201, "PUT", "/v2/pools/far", map[string]any{"uri": other.server.URL(), "weight": 100}, nil)
	for i := range queues {
		c.post(fmt.Sprintf("q%d", i), "kept")
	}
	catalog, pools := c.health()
	if !catalog || !pools["near"].Reachable || !pools["far"].Reachable {
		t.Fatalf("all is well, and health says %v %+v", catalog, pools)
	}
	far := pools["far"].Volume.Total
	if near := pools["near"].Volume.Total; near == 0 || far == 0 {
		t.Fatalf("%d queues near, %d far", near, far)
	}

	other.stop()
	sick := c.sickQueues(queues)
	if int64(len(sick)) != far {
		t.Errorf("%d queues fail, %d are in the pool that is down", len(sick), far)
	}
	if catalog, pools = c.health(); !catalog || !pools["near"].Reachable || pools["far"].Reachable {
		t.Errorf("far is down, and health says %v %+v", catalog, pools)
	}
	for i := range queues { // new queues go where they can be used
		c.do(201, "PUT", fmt.Sprintf("/v2/queues/new%d", i), nil, nil)
		c.post(fmt.Sprintf("new%d", i), "kept")
	}

	other.start()
	for i := range queues {
		c.awaitMessages(fmt.Sprintf("q%d", i), sick[i])
	}
	if _, pools = c.health(); !pools["far"].Reachable {
		t.Errorf("far is back, and health says %+v", pools)
	}
	answer, err := c.admin().send(within(t), "DELETE", "/v2/pools/far", nil)
	if err != nil || answer.status != 403 {
		t.Errorf("a pool in use: %+v, %v", answer, err)
	}
}

// post posts one message.
func (c *restClient) post(queue, body string) {
	c.t.Helper()
	c.do(201, "POST", "/v2/queues/"+queue+"/messages", oneMessage(body), nil)
}

func oneMessage(body string) any {
	return map[string]any{"messages": []any{map[string]any{"body": body, "ttl": 3600}}}
}

// sickQueues posts to the first n queues and returns those that could not be posted to.
func (c *restClient) sickQueues(n int) map[int]bool {
	c.t.Helper()
	sick := map[int]bool{}
	for i := range n {
		start := time.Now()
		answer, err := c.send(within(c.t), "POST", fmt.Sprintf("/v2/queues/q%d/messages", i), oneMessage("meanwhile"))
		if err != nil {
			c.t.Fatal(err)
		}
		switch answer.status {
		case 201:
			if took := time.Since(start); took > 5*time.Second {
				c.t.Errorf("a queue that is well took %v", took)
			}
		case 503:
			sick[i] = true
		default:
			c.t.Errorf("queue %d: %d %s", i, answer.status, answer.body)
		}
	}
	return sick
}

// awaitMessages waits until a queue has what it was sent and was said to have kept.
func (c *restClient) awaitMessages(queue string, sick bool) {
	c.t.Helper()
	want := 2
	if sick {
		want = 1
	}
	eventually(c.t, func() error {
		answer, err := c.send(within(c.t), "GET", "/v2/queues/"+queue+"/messages?echo=true", nil)
		if err != nil {
			return err
		}
		var list struct{ Messages []struct{ Body string } }
		if err := json.Unmarshal(answer.body, &list); err != nil || answer.status != 200 || len(list.Messages) < want {
			return fmt.Errorf("%s: %d %s, want %d messages", queue, answer.status, answer.body, want)
		}
		if list.Messages[0].Body != "kept" {
			c.t.Errorf("%s begins with %+v", queue, list.Messages[0])
		}
		return nil
	})
}

// TestPushAcrossAPoolsOutage: a subscriber of a queue in a pool that goes away and comes back gets all, in order.
func TestPushAcrossAPoolsOutage(t *testing.T) {
	t.Parallel()
	g := own(t)
	c := g.rest(t)
	other := startOther(t)
	c.admin().do(201, "PUT", "/v2/pools/far", map[string]any{"uri": other.server.URL(), "weight": 100}, nil)
	c.admin().do(201, "PUT", "/v2/flavors/away", map[string]any{"pool_list": []any{"far"}}, nil)
	c.do(201, "PUT", "/v2/queues/q", map[string]any{"_flavor": "away"}, nil)
	s, err := g.dial(t, client.Options{}).Subscribe(within(t), "q", client.SubscribeOptions{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c.post("q", "one")
	other.stop()
	if answer, err := c.send(within(t), "POST", "/v2/queues/q/messages", oneMessage("lost")); err != nil || answer.status != 503 {
		t.Errorf("a post to a pool that is down: %+v, %v", answer, err)
	}
	other.start()
	eventually(t, func() error {
		answer, err := c.send(within(t), "POST", "/v2/queues/q/messages", oneMessage("two"))
		if err == nil && answer.status != 201 {
			err = fmt.Errorf("%d %s", answer.status, answer.body)
		}
		return err
	})
	for _, want := range []string{`"one"`, `"two"`} {
		if event := next(t, s, client.Pushed); string(event.Body) != want {
			t.Errorf("pushed %s, want %s", event.Body, want)
		}
	}
}
