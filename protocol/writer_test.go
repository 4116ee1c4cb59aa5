package protocol

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// asJSON returns a payload of either codec as decoded JSON.
func asJSON(t *testing.T, codec Codec, payload []byte) any {
	t.Helper()
	if codec == MessagePack {
		text, err := Transcode(nil, payload, MessagePack, JSON)
		if err != nil {
			t.Fatalf("%x: %v", payload, err)
		}
		payload = text
	}
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	return v
}

func wantJSON(t *testing.T, codec Codec, payload []byte, want string) {
	t.Helper()
	if got := asJSON(t, codec, payload); !reflect.DeepEqual(got, asJSON(t, JSON, []byte(want))) {
		t.Errorf("%s: got %v, want %s", codec, got, want)
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	for _, codec := range []Codec{JSON, MessagePack} {
		var w Writer
		w.Reset(codec, []byte("head"))
		w.BeginMap(5)
		w.Key("list")
		w.BeginArray(6)
		w.Int(-7)
		w.Bool(true)
		w.Null()
		w.String("\"\\\x01é\xff")
		w.MessageID(MessageID{Queue: 31, N: 42, Inbox: true})
		w.BeginMap(0)
		w.EndMap()
		w.EndArray()
		w.Key("empty")
		w.BeginArray(0)
		w.EndArray()
		w.Key("json")
		w.RawJSON([]byte(`{"x":[1.5,"y"]}`))
		w.Key("packed")
		w.Raw(MessagePack, []byte("\x92\x01\xa1z"))
		w.Key("last")
		w.Int(1 << 40)
		w.EndMap()
		if w.Err() != nil || string(w.Buf[:4]) != "head" {
			t.Fatalf("%v, %q", w.Err(), w.Buf)
		}
		wantJSON(t, codec, w.Buf[4:], `{"list":[-7,true,null,"\"\\\u0001é\ufffd","1f-i2a",{}],"empty":[],
			"json":{"x":[1.5,"y"]},"packed":[1,"z"],"last":1099511627776}`)
	}
}

func TestWriterRawFails(t *testing.T) {
	t.Parallel()
	w := Writer{Codec: JSON}
	w.BeginArray(2)
	w.Int(1)
	w.Raw(MessagePack, []byte("\x81\xa1a\xc4\x00"))
	w.EndArray()
	var cause *InexpressibleError
	if !errors.As(w.Err(), &cause) || cause.Path != ".a" || string(w.Buf) != `[1,null]` {
		t.Errorf("%v, %s", w.Err(), w.Buf)
	}
	if w.Reset(JSON, nil); w.Err() != nil {
		t.Error("Reset keeps the error")
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ frame, want string }{
		"echo": {`{"action":"queue_get","body":{"queue_name":"q","x":[1]},` + testHeaders + `}`,
			`{"request":{"action":"queue_get","body":{"queue_name":"q","x":[1]},` + testHeaders + `,"api":"v2"},"body":[],"headers":{"status":200}}`},
		"nothing to echo": {`{"headers":null}`,
			`{"request":{"action":null,"body":{},"headers":{},"api":"v2"},"body":[],"headers":{"status":200}}`},
		"tokens do not come back": {`{"action":"authenticate","headers":{"X-Auth-Token":"secret","X-Project-ID":"p"},"body":{}}`,
			`{"request":{"action":"authenticate","body":{},"headers":{},"api":"v2"},"body":[],"headers":{"status":200}}`},
		"compact": {`{"action":"queue_get","id":"x","body":{"queue_name":"q"},` + testHeaders + `}`,
			`{"id":"x","action":"queue_get","body":[],"headers":{"status":200}}`},
		"compact, no action": {`{"id":5}`, `{"id":5,"action":null,"body":[],"headers":{"status":200}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothCodecs(t, test.frame, func(t *testing.T, frame string, codec Codec) {
				req, _ := decode(frame, codec)
				var w Writer
				AppendReply(&w, req, 200, func(w *Writer) { w.BeginArray(0); w.EndArray() })
				wantJSON(t, codec, w.Buf, test.want)
			})
		})
	}
}

func TestAppendError(t *testing.T) {
	t.Parallel()
	cause := errors.New("secret")
	tests := map[string]struct {
		err  *Error
		want string
	}{
		"protocol": {ErrorNotAuthenticated(), `{"error":"Not authentified."}`},
		"action":   {ErrorQueueMissing(QueueKey{"p", "q"}), `{"exception":"Queue q does not exist for project p","error":null}`},
		"both":     {ErrorClaimMissing(QueueKey{"p", "q"}, "c"), `{"exception":"Claim c does not exist in queue q for project p","error":"Claim c does not exist."}`},
		"retry": {ErrorOutcomeUnknown(1500*time.Millisecond, cause), `{"exception":"The message store went away; the change may or may not have happened.",
			"error":"Service is temporarily unavailable.","retry_after":2,"outcome":"unknown"}`},
		"internal": {ErrorInternal(cause), `{"exception":"Internal error.","error":"Unexpected error."}`},
	}
	for name, test := range tests {
		bothCodecs(t, `{"action":"queue_list","id":1,`+testHeaders+`}`, func(t *testing.T, frame string, codec Codec) {
			req, err := decode(frame, codec)
			if err != nil {
				t.Fatal(err)
			}
			var w Writer
			AppendError(&w, req, test.err)
			reply := asJSON(t, codec, w.Buf).(map[string]any)
			if !reflect.DeepEqual(reply["body"], asJSON(t, JSON, []byte(test.want))) {
				t.Errorf("%s: got %v", name, reply["body"])
			}
			if status := reply["headers"].(map[string]any)["status"]; status != float64(test.err.Status) {
				t.Errorf("%s: status %v", name, status)
			}
		})
	}
	if err := ErrorInternal(cause); !errors.Is(err, cause) || !strings.Contains(err.Error(), "secret") {
		t.Errorf("the log needs the cause: %v", err)
	}
}

func TestRepliesAllocateNothing(t *testing.T) {
	lim := DefaultLimits()
	var req Request
	if err := Decode(post10(), JSON, Defaults{}, &lim, &req); err != nil {
		t.Fatal(err)
	}
	ids := []MessageID{{Queue: 1, N: 1 << 40}, {Queue: 1, N: 2}}
	body, packed := []byte(`{"a":1}`), []byte("\x92\x01\x81\xa1k\xa3xyz")
	var w Writer
	writes := map[string]func(){
		"reply": func() {
			AppendReply(&w, &req, 201, func(w *Writer) {
				w.BeginMap(1)
				w.Key("message_ids")
				w.BeginArray(len(ids))
				for _, id := range ids {
					w.MessageID(id)
				}
				w.EndArray()
				w.EndMap()
			})
		},
		"notification": func() { AppendNotification(&w, "q", &Message{ID: ids[0], TTL: 60, Body: body}, true) },
		"transcoded": func() {
			AppendNotification(&w, "q", &Message{ID: ids[0], TTL: 60, Body: packed, Codec: MessagePack}, false)
		},
		"gap": func() { AppendGap(&w, "q", Gap{1, 2, GapExpired}) },
	}
	for name, write := range writes {
		if n := testing.AllocsPerRun(100, func() { w.Buf = w.Buf[:0]; write() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkNotification(b *testing.B) {
	body := []byte(`{"payload":"` + strings.Repeat("x", 240) + `"}`)
	var w Writer
	b.ReportAllocs()
	for b.Loop() {
		w.Buf = w.Buf[:0]
		AppendNotification(&w, "bench", &Message{ID: MessageID{Queue: 1, N: 1 << 30}, TTL: 300, Body: body}, false)
	}
}

func BenchmarkReplyClaim20(b *testing.B) {
	body := []byte(`{"payload":"` + strings.Repeat("x", 240) + `"}`)
	req := Request{ID: []byte("17"), RawAction: []byte(`"claim_create"`)}
	var w Writer
	b.ReportAllocs()
	for b.Loop() {
		w.Buf = w.Buf[:0]
		AppendReply(&w, &req, 201, func(w *Writer) {
			w.BeginArray(20)
			for i := range int64(20) {
				w.BeginMap(3)
				w.Key("id")
				w.MessageID(MessageID{Queue: 1, N: 1<<30 + i})
				w.Key("ttl")
				w.Int(300)
				w.Key("body")
				w.RawJSON(body)
				w.EndMap()
			}
			w.EndArray()
		})
	}
}
