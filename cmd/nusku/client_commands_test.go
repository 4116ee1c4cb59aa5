package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// asked is a frame that a subcommand sent, and the roles that it claims.
type asked struct {
	ID     json.RawMessage
	Action string
	Body   json.RawMessage
	roles  string
}

// fakeGateway answers each frame by the next of replies ("STATUS BODY") and keeps the frames.
func fakeGateway(t *testing.T, replies []string) (url string, frames func() []asked) {
	t.Helper()
	var got []asked
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		for {
			_, payload, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			frame := asked{roles: r.Header.Get("X-Roles")}
			if err := json.Unmarshal(payload, &frame); err != nil {
				t.Errorf("frame %s: %v", payload, err)
				return
			}
			got = append(got, frame)
			if len(got) > len(replies) {
				t.Errorf("one frame too many: %s", payload)
				return
			}
			status, body, _ := strings.Cut(replies[len(got)-1], " ")
			reply := `{"id":` + string(frame.ID) + `,"action":"` + frame.Action + `","headers":{"status":` + status + `},"body":` + body + `}`
			if ws.Write(r.Context(), websocket.MessageText, []byte(reply)) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http"), func() []asked {
		<-done // the subcommand has hung up
		return got
	}
}

// clientCommands has a row per subcommand that manages: what is typed, what goes over the wire, and what is printed.
var clientCommands = []struct {
	line    string
	admin   bool
	frames  []string // "action body"
	replies []string
	code    int
	want    string
}{
	{line: `queue update q --set a=1 --set b=x,y --remove c/d`,
		frames: []string{`queue_update {"queue_name":"q","patch":[{"op":"add","path":"/metadata/a","value":1},` +
			`{"op":"add","path":"/metadata/b","value":"x,y"},{"op":"remove","path":"/metadata/c~1d"}]}`},
		replies: []string{`200 {"a":1}`}, want: `{"a":1}` + "\n"},
	{line: `queue update q --patch [{"op":"add","path":"/metadata/a","value":9007199254740993}]`,
		frames:  []string{`queue_update {"queue_name":"q","patch":[{"op":"add","path":"/metadata/a","value":9007199254740993}]}`},
		replies: []string{`200 {}`}, want: "{}\n"},
	{line: `queue update q --set a=1`, frames: []string{`queue_update {"queue_name":"q","patch":[{"op":"add","path":"/metadata/a","value":1}]}`},
		replies: []string{`404 {"exception":"no","error":null}`}, code: exitFailed,
		want: "nusku: queue q does not exist; `nusku queue list` shows those that do\n"},
	{line: `queue update q`, code: exitUsage, want: "nusku: nothing to change: say what with --set NAME=VALUE or --remove NAME\n"},
	{line: `queue update q --set a`, code: exitUsage, want: `nusku: --set is "a"; it must be like colour=green or _default_message_ttl=300` + "\n"},
	{line: `queue share q --methods GET,POST`, frames: []string{`queue_share {"queue_name":"q","methods":["GET","POST"]}`},
		replies: []string{`200 {"paths":["/v2/queues/q/messages"],"methods":["GET","POST"],"project":"p","expires":"2026-01-31T12:00:00","signature":"s"}`},
		want: "URL-Signature: s\nURL-Expires: 2026-01-31T12:00:00\nURL-Methods: GET,POST\n" +
			"URL-Paths: /v2/queues/q/messages\nX-Project-ID: p\n"},

	{line: `topic create t`, frames: []string{`topic_create {"topic_name":"t"}`}, replies: []string{`201 "x"`}, want: "Topic t created.\n"},
	{line: `topic list --name x`, frames: []string{`topic_list {"detailed":true,"name":"x"}`, `topic_list {"marker":"ax","detailed":true,"name":"x"}`},
		replies: []string{`200 {"topics":[{"name":"ax","metadata":{"a":1}}]}`, `200 {"topics":[]}`},
		want:    "TOPIC  METADATA\nax     {\"a\":1}\n"},
	{line: `topic get t`, frames: []string{`topic_get {"topic_name":"t"}`}, replies: []string{`200 {"a":1}`}, want: `{"a":1}` + "\n"},
	{line: `topic update t --remove a`, frames: []string{`topic_update {"topic_name":"t","patch":[{"op":"remove","path":"/metadata/a"}]}`},
		replies: []string{`404 {}`}, code: exitFailed, want: "nusku: topic t does not exist; `nusku topic list` shows those that do\n"},
	{line: `topic stats t --json`, frames: []string{`topic_get_stats {"topic_name":"t"}`}, replies: []string{`200 {"messages":{"total":1}}`},
		want: `{"claimed":0,"free":0,"delayed":0,"total":1}` + "\n"},
	{line: `topic share t`, frames: []string{`topic_share {"topic_name":"t"}`}, replies: []string{`200 {"signature":"s"}`},
		want: "URL-Signature: s\nURL-Expires: \nURL-Methods: \nURL-Paths: \nX-Project-ID: \n"},
	{line: `topic purge t --what messages`, frames: []string{`topic_purge {"topic_name":"t","resource_types":["messages"]}`},
		replies: []string{`204 {}`}, want: "Topic t purged.\n"},
	{line: `topic delete t u --json`, frames: []string{`topic_delete {"topic_name":"t"}`, `topic_delete {"topic_name":"u"}`},
		replies: []string{`204 {}`, `204 {}`}, want: `{"deleted":true,"name":"t"}` + "\n" + `{"deleted":true,"name":"u"}` + "\n"},
	{line: `message post topic:t hello`, frames: []string{`message_post {"topic_name":"t","messages":[{"body":"hello"}]}`},
		replies: []string{`201 {"message_ids":["1-1"]}`}, want: "MESSAGE\n1-1\n"},

	{line: `subscription create q http://h/ --ttl 2m --options {"a":1}`,
		frames:  []string{`subscription_create {"queue_name":"q","subscriber":"http://h/","ttl":120,"options":{"a":1}}`},
		replies: []string{`201 {"subscription_id":"s"}`}, want: "Subscription s created.\n"},
	{line: `subscription create q http://h/`, frames: []string{`subscription_create {"queue_name":"q","subscriber":"http://h/"}`},
		replies: []string{`409 "no"`}, code: exitFailed,
		want: "nusku: http://h/ has a subscription to q already: `nusku subscription list q` shows it, `nusku subscription update` changes it\n"},
	{line: `subscription list topic:t --limit 1`, frames: []string{`subscription_list {"topic_name":"t"}`},
		replies: []string{`200 {"subscriptions":[{"id":"s","subscriber":"http://h/","ttl":60,"age":1,"options":{},"confirmed":true},{"id":"x"}]}`},
		want:    "SUBSCRIPTION  SUBSCRIBER  TTL  AGE  CONFIRMED  OPTIONS\ns             http://h/   60s  1s   yes        {}\n"},
	{line: `subscription get q s --json`, frames: []string{`subscription_get {"queue_name":"q","subscription_id":"s"}`},
		replies: []string{`200 {"id":"s","source":"q","subscriber":"http://h/","ttl":60,"age":1,"options":{},"confirmed":true}`},
		want:    `{"id":"s","source":"q","subscriber":"http://h/","ttl":60,"age":1,"options":{},"confirmed":true}` + "\n"},
	{line: `subscription get q s`, frames: []string{`subscription_get {"queue_name":"q","subscription_id":"s"}`}, replies: []string{`404 {}`},
		code: exitFailed, want: "nusku: q has no subscription s; `nusku subscription list q` shows those that there are\n"},
	{line: `subscription update q s --ttl 60`, frames: []string{`subscription_update {"queue_name":"q","subscription_id":"s","ttl":60}`},
		replies: []string{`204 {}`}, want: "Subscription s updated.\n"},
	{line: `subscription update q s`, code: exitUsage, want: "nusku: nothing to change: say what with --subscriber, --ttl or --options\n"},
	{line: `subscription confirm q s`, admin: true, frames: []string{`subscription_confirm {"queue_name":"q","subscription_id":"s","confirmed":true}`},
		replies: []string{`204 {}`}, want: "Subscription s confirmed.\n"},
	{line: `subscription confirm q s --refuse --json`, admin: true, frames: []string{`subscription_confirm {"queue_name":"q","subscription_id":"s","confirmed":false}`},
		replies: []string{`204 {}`}, want: `{"confirmed":false,"id":"s"}` + "\n"},
	{line: `subscription confirm q s --refuse`, admin: true, frames: []string{`subscription_confirm {"queue_name":"q","subscription_id":"s","confirmed":false}`},
		replies: []string{`204 {}`}, want: "Subscription s is not confirmed. A gateway that requires confirmation delivers nothing to it; others " +
			"deliver all the same, until `nusku subscription delete` ends it.\n"},
	{line: `subscription secret q s --rotate`, frames: []string{`subscription_secret {"queue_name":"q","subscription_id":"s","rotate":true}`},
		replies: []string{`200 {"secrets":["whsec_b","whsec_a"]}`}, want: "whsec_b\nwhsec_a\n"},
	{line: `subscription delete q s`, frames: []string{`subscription_delete {"queue_name":"q","subscription_id":"s"}`},
		replies: []string{`204 {}`}, want: "Subscription s removed.\n"},
	{line: `subscription dead q s --json`,
		frames: []string{`dead_delivery_list {"queue_name":"q","subscription_id":"s"}`, `dead_delivery_list {"queue_name":"q","subscription_id":"s","marker":"1"}`},
		replies: []string{`200 {"dead_deliveries":[{"id":"1","message_id":"1-1","attempts":2,"reason":"r","failed_at":"2026-01-31T12:00:00Z","body":{"n":1}}]}`,
			`200 {"dead_deliveries":[]}`},
		want: `{"id":"1","message_id":"1-1","body":{"n":1},"attempts":2,"reason":"r","failed_at":"2026-01-31T12:00:00Z","resend":false}` + "\n"},
	{line: `subscription resend q s 1 2`, frames: []string{`dead_delivery_resend {"queue_name":"q","subscription_id":"s","delivery_ids":["1","2"]}`},
		replies: []string{`204 {"count":2}`}, want: "2 to be sent again.\n"},
	{line: `subscription discard q s`, frames: []string{`dead_delivery_delete {"queue_name":"q","subscription_id":"s"}`},
		replies: []string{`204 {"count":3}`}, want: "3 discarded.\n"},

	{line: `pool create p postgres://h/d --flavor f`, admin: true,
		frames:  []string{`pool_create {"pool_name":"p","uri":"postgres://h/d","weight":100,"flavor":"f"}`},
		replies: []string{`201 "x"`}, want: "Pool p created.\n"},
	{line: `pool create p postgres://h/d`, admin: true, frames: []string{`pool_create {"pool_name":"p","uri":"postgres://h/d","weight":100}`},
		replies: []string{`409 {"exception":"The database is a pool already.","error":null}`}, code: exitFailed,
		want: "nusku: pool_create: 409: The database is a pool already. (give another URI, or use the pool that has it: `nusku pool list` shows them)\n"},
	{line: `pool list --limit 1`, admin: true, frames: []string{`pool_list {"detailed":true}`},
		replies: []string{`200 {"pools":[{"name":"p","uri":"postgres://h/d","weight":5,"flavor":null,"options":{}}]}`},
		want:    "POOL  WEIGHT  FLAVOR  URI             OPTIONS\np     5       -       postgres://h/d  {}\n"},
	{line: `pool get p --json`, admin: true, frames: []string{`pool_get {"pool_name":"p","detailed":true}`},
		replies: []string{`200 {"name":"p","uri":"postgres://h/d","weight":5,"flavor":null,"options":{}}`},
		want:    `{"name":"p","uri":"postgres://h/d","weight":5,"flavor":"","options":{}}` + "\n"},
	{line: `pool get p`, admin: true, frames: []string{`pool_get {"pool_name":"p","detailed":true}`}, replies: []string{`404 {}`}, code: exitFailed,
		want: "nusku: there is no pool p; `nusku pool list` shows those that there are\n"},
	{line: `pool update p --weight 0 --flavor=`, admin: true, frames: []string{`pool_update {"pool_name":"p","weight":0,"flavor":""}`, `pool_get {"pool_name":"p","detailed":true}`},
		replies: []string{`200 {"name":"p","uri":"u","weight":0,"flavor":""}`, `200 {"name":"p","uri":"u","weight":0,"flavor":null,"options":{}}`},
		want:    "POOL  WEIGHT  FLAVOR  URI  OPTIONS\np     0       -       u    {}\n"},
	{line: `pool update p`, code: exitUsage, want: "nusku: nothing to change: say what with --uri, --weight, --flavor or --options\n"},
	{line: `pool delete p`, admin: true, frames: []string{`pool_delete {"pool_name":"p"}`},
		replies: []string{`403 {"exception":"This pool is used by flavors f; It cannot be deleted.","error":null}`}, code: exitFailed,
		want: "nusku: pool_delete: 403: This pool is used by flavors f; It cannot be deleted. " +
			"(delete its queues first, and take it out of its flavor: `nusku pool update p --flavor=`)\n"},

	{line: `flavor create f a b`, admin: true, frames: []string{`flavor_create {"flavor_name":"f","pool_list":["a","b"]}`},
		replies: []string{`201 "x"`}, want: "Flavor f created.\n"},
	{line: `flavor list --limit 1`, admin: true, frames: []string{`flavor_list {"detailed":true}`},
		replies: []string{`200 {"flavors":[{"name":"f","pool_list":["a","b"],"capabilities":["1","2"]}]}`},
		want:    "FLAVOR  POOLS  CAPABILITIES\nf       a,b    [\"1\",\"2\"]\n"},
	{line: `flavor get f`, admin: true, frames: []string{`flavor_get {"flavor_name":"f"}`}, replies: []string{`404 {}`}, code: exitFailed,
		want: "nusku: there is no flavor f; `nusku flavor list` shows those that there are\n"},
	{line: `flavor update f b --json`, admin: true, frames: []string{`flavor_update {"flavor_name":"f","pool_list":["b"]}`},
		replies: []string{`200 {"name":"f","pool_list":["b"],"capabilities":["1"]}`}, want: `{"name":"f","pool_list":["b"],"capabilities":["1"]}` + "\n"},
	{line: `flavor delete f`, admin: true, frames: []string{`flavor_delete {"flavor_name":"f"}`}, replies: []string{`204 "x"`}, want: "Flavor f removed.\n"},

	{line: `message list q --wait 2s --limit 2`, frames: []string{
		`message_list {"queue_name":"q","echo":true,"wait":2}`, `message_list {"queue_name":"q","marker":"m1","echo":true}`},
		replies: []string{`200 {"messages":[{"id":"m1","age":0,"ttl":60,"body":1}]}`, `200 {"messages":[]}`},
		want:    "MESSAGE  AGE  TTL  BODY\nm1       0s   60s  1\n"},
	{line: `health`, admin: true, frames: []string{`check_node_health `},
		replies: []string{`200 {"catalog_reachable":true,"default":{"storage_reachable":true,"operation_status":{"a":{"succeeded":true,"seconds":0.002,"ref":null},` +
			`"b":{"succeeded":false,"seconds":0.001,"ref":"r"}},"message_volume":{"free":1,"claimed":2,"total":3}},"east":{"storage_reachable":false,"ref":"e","operation_status":{}}}`},
		code: exitFailed,
		want: "POOL     STATE        FREE  CLAIMED  TOTAL  SLOWEST  FAILED\n" +
			"default  failing      1     2        3      a 2ms    b r\n" +
			"east     unreachable  -     -        -      -        connect e\n" +
			"nusku: not all is well: what failed is named in the gateway's log under its reference\n"},
	{line: `health --json`, admin: true, frames: []string{`check_node_health `},
		replies: []string{`200 {"storage_reachable":true,"operation_status":{"a":{"succeeded":true,"seconds":0.5,"ref":null}}}`},
		want:    `{"name":"default","storage_reachable":true,"operation_status":{"a":{"succeeded":true,"seconds":0.5}}}` + "\n"},
}

func TestClientCommands(t *testing.T) {
	t.Parallel()
	for _, c := range clientCommands {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			url, frames := fakeGateway(t, c.replies)
			var out bytes.Buffer
			args := append(strings.Fields(c.line), "--url="+url, "--client-id=00000000-0000-4000-8000-000000000001")
			if code := run(context.Background(), args, &out, &out); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Error("output:", diff)
			}
			if c.frames == nil {
				return
			}
			var sent []string
			for _, f := range frames() {
				sent = append(sent, f.Action+" "+string(f.Body))
				if want := map[bool]string{true: adminRole}[c.admin]; f.roles != want {
					t.Errorf("%s: roles %q, want %q", f.Action, f.roles, want)
				}
			}
			if diff := cmp.Diff(c.frames, sent); diff != "" {
				t.Error("frames:", diff)
			}
		})
	}
}

// TestPing: how long it took varies.
func TestPing(t *testing.T) {
	t.Parallel()
	url, _ := fakeGateway(t, []string{`204 {}`})
	var out bytes.Buffer
	if code := run(context.Background(), []string{"ping", "--url=" + url}, &out, &out); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(out.String(), url+" answered in ") {
		t.Errorf("printed %q", out.String())
	}
}

// TestHelpOfClientCommands: each subcommand that manages has its help, and those with examples show them.
func TestHelpOfClientCommands(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                    "subscription create",
		"pool":                "nusku pool create spare embedded://local/spare",
		"pool create":         "--weight",
		"flavor":              `nusku queue create jobs '{"_flavor": "fast"}'`,
		"topic":               "nusku message post topic:news hello",
		"subscription":        "nusku subscription create jobs https://example.com/hook",
		"subscription secret": "Standard Webhooks",
		"queue update":        "--remove size",
		"queue share":         "--expires=2h",
		"health":              "exit code is 1",
		"ping":                "--url",
	} {
		var out bytes.Buffer
		if code := run(context.Background(), append(strings.Fields(args), "--help"), &out, &out); code != exitOK {
			t.Errorf("%s --help: exit code %d", args, code)
		}
		// Lines are broken where the terminal is said to end.
		if text := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(text, want) {
			t.Errorf("%s --help lacks %q:\n%s", args, want, out.String())
		}
	}
}
