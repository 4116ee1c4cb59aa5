package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refused runs a subcommand that must fail and say so.
func (p *person) refused(says string, args ...string) {
	p.t.Helper()
	if _, stderr, exit := p.run("", args...); exit != 1 || !strings.Contains(stderr, says) {
		p.t.Errorf("nusku %q: exit code %d and %q, want 1 and %q", args, exit, stderr, says)
	}
}

// TestPoolCommands has a gateway of its own: where queues are placed is a matter of the whole gateway.
func TestPoolCommands(t *testing.T) {
	t.Parallel()
	p := newPerson(t, own(t).url)
	p.do("pool", "create", "spare", "embedded://local/spare", "--weight=7", "--options", `{"a": 1}`)
	p.refused("is a pool already", "pool", "create", "again", "embedded://local/spare")
	p.refused("cannot connect to postgres://u@127.0.0.1:1/x", "pool", "create", "bad", "postgres://u:hush@127.0.0.1:1/x")
	want := []map[string]any{
		{"name": "spare", "uri": "embedded://local/spare", "weight": 7.0, "flavor": "", "options": map[string]any{"a": 1.0}},
	}
	if diff := cmp.Diff(want, p.objects("pool", "list")); diff != "" {
		t.Error("list:", diff)
	}
	p.do("flavor", "create", "fast", "spare")
	if got := p.objects("flavor", "get", "fast"); len(got) != 1 || !cmp.Equal(got[0]["pool_list"], []any{"spare"}) {
		t.Errorf("flavor %v", got)
	}
	p.do("queue", "create", "q", `{"_flavor": "fast"}`)
	p.do("message", "post", "q", "1")
	p.refused("Flavor nope does not exist", "queue", "update", "q", "--set", "_flavor=nope")
	p.refused("Flavor nope does not exist", "queue", "create", "other", `{"_flavor": "nope"}`)
	p.do("flavor", "create", "slow", p.pool("beside"))
	p.refused("Queue q is in none of the pools of flavor slow", "queue", "update", "q", "--set", "_flavor=slow")
	p.do("flavor", "delete", "slow")
	p.refused("queues are in it", "pool", "update", "spare", "--uri", "embedded://local/leftover")
	p.refused("begins with postgres://", "pool", "create", "bad", "mysql://u:hush@h/x")
	p.refused("lower-case letters", "pool", "create", "bad", "embedded://local/UPPER")
	p.refused("the database is the gateway's own", "pool", "create", "bad", "embedded://local/postgres")
	p.refused("is a pool already", "pool", "create", "bad", "embedded://local/nusku")
	p.refused("It cannot be deleted", "pool", "delete", "default")
	if got := p.objects("pool", "get", "default"); len(got) != 1 || got[0]["weight"] != 100.0 {
		t.Errorf("the default pool %v", got)
	}
	p.refused("cannot connect to postgres://u@127.0.0.1:1/x", "pool", "create", "beside", "embedded://local/beside",
		"--options", `{"b": 2}`, "--listen", "postgres://u:hush@127.0.0.1:1/x")
	p.do("pool", "create", "beside", "embedded://local/beside", "--options", `{"b": 2}`, "--listen", "embedded://local/beside")
	if got := p.objects("pool", "get", "beside"); len(got) != 1 || !cmp.Equal(got[0]["options"], any(map[string]any{"b": 2.0, "listen": "embedded://local/beside"})) {
		t.Errorf("the pool with a second address %v", got)
	}
	p.do("pool", "delete", "beside")
	health := p.objects("health")
	if len(health) != 2 || health[1]["name"] != "spare" {
		t.Fatalf("health %v", health)
	}
	if volume, _ := health[1]["message_volume"].(map[string]any); volume["total"] != 1.0 {
		t.Errorf("the message is not in the flavor's pool: %v", health)
	}
	p.refused("used by flavors fast", "pool", "delete", "spare")
	p.refused("Flavor fast", "flavor", "delete", "fast")
	p.do("queue", "delete", "q")
	p.do("flavor", "delete", "fast")
	p.do("pool", "delete", "spare")
	if out := p.do("pool", "list"); out != "" {
		t.Errorf("list of nothing printed %q", out)
	}
	p.refused("there is no pool spare", "pool", "get", "spare")
}

// pool makes a pool and returns its name.
func (p *person) pool(name string) string {
	p.t.Helper()
	p.do("pool", "create", name, "embedded://local/"+name)
	return name
}

func TestTopicCommands(t *testing.T) {
	t.Parallel()
	p := newPerson(t, defaults(t).url)
	p.do("topic", "create", "news", `{"a": 1}`)
	if out := p.do("topic", "update", "news", "--set", "b=x", "--remove", "a"); out != `{"b":"x"}`+"\n" {
		t.Errorf("update printed %q", out)
	}
	p.do("message", "post", "topic:news", "hello")
	p.refused("Topics have no claims", "claim", "create", "topic:news")
	if diff := cmp.Diff([]any{"hello"}, bodies(p.objects("message", "list", "topic:news"))); diff != "" {
		t.Error("list of a topic's messages:", diff)
	}
	if got := p.objects("message", "list", "news"); got != nil {
		t.Errorf("the queue of that name has %v", got)
	}
	want := []map[string]any{{"name": "news", "metadata": map[string]any{"b": "x"}}}
	if diff := cmp.Diff(want, p.objects("topic", "list")); diff != "" {
		t.Error("list:", diff)
	}
	if s := p.objects("topic", "stats", "news")[0]; s["total"] != 1.0 {
		t.Errorf("statistics %v", s)
	}
	if out := p.do("topic", "share", "news"); !strings.Contains(out, "URL-Paths: /v2/topics/news/messages\n") {
		t.Errorf("share printed %q", out)
	}
	p.do("topic", "purge", "news")
	p.do("topic", "delete", "news")
	p.refused("topic news does not exist", "topic", "update", "news", "--set", "a=1")
}

func TestSubscriptionCommands(t *testing.T) {
	t.Parallel()
	p := newPerson(t, defaults(t).url)
	sub, _ := p.objects("subscription", "create", "q", "http://127.0.0.1:9/one", "--ttl=10m")[0]["id"].(string)
	p.do("subscription", "create", "q", "http://127.0.0.1:9/two")
	p.refused("already exists", "subscription", "update", "q", sub, "--subscriber=http://127.0.0.1:9/two")
	p.do("subscription", "update", "q", sub, "--ttl=20m", "--options", `{"a": 1}`)
	got := p.objects("subscription", "get", "q", sub)[0]
	if got["ttl"] != 1200.0 || !cmp.Equal(got["options"], map[string]any{"a": 1.0}) || got["subscriber"] != "http://127.0.0.1:9/one" {
		t.Errorf("subscription %v", got)
	}
	before := p.do("subscription", "secret", "q", sub)
	after := p.do("subscription", "secret", "q", sub, "--rotate")
	if !strings.HasPrefix(before, "whsec_") || !strings.HasSuffix(after, before) || after == before {
		t.Errorf("secret %q became %q", before, after)
	}
	p.do("subscription", "confirm", "q", sub)
	if out := p.do("subscription", "dead", "q", sub); out != "" {
		t.Errorf("dead deliveries of nothing: %q", out)
	}
	p.do("subscription", "delete", "q", sub)
	p.refused("has no subscription "+sub, "subscription", "get", "q", sub)
	if n := len(p.objects("subscription", "list", "q")); n != 1 {
		t.Errorf("%d subscriptions are left, want 1", n)
	}
}

func TestQueueUpdateAndShareCommands(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	p := newPerson(t, g.url)
	p.do("queue", "create", "q", `{"colour": "red"}`)
	if out := p.do("queue", "update", "q", "--set", "colour=green", "--set", "_default_message_ttl=300"); out != `{"colour":"green","_default_message_ttl":300}`+"\n" {
		t.Errorf("update printed %q", out)
	}
	p.refused("nothing was changed", "queue", "update", "q", "--set", "a=1", "--remove", "nope")
	p.refused("queue nope does not exist", "queue", "update", "nope", "--set", "a=1")
	signed := p.objects("queue", "share", "q", "--expires=1h")[0]
	if !cmp.Equal(signed["paths"], []any{"/v2/queues/q/messages"}) || signed["project"] != t.Name() {
		t.Errorf("signed URL %v", signed)
	}
	if out := p.do("ping"); !strings.Contains(out, "answered in") {
		t.Errorf("ping printed %q", out)
	}
}
