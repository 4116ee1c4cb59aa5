package protocol

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// stricter are the faults of frames that are JSON nevertheless.
var stricter = []string{"Duplicate key", "Nested too deeply", "Invalid UTF-8"}

func seedFrames(f *testing.F) {
	for _, s := range []string{
		``, `foo`, `[1]`, `123`, `{}`, `{"action":null,"body":{}}`, "\ufeff{}", `{"a":1,"a":2}`, `{"action":"queue_list","\u0061ction":1}`,
		`{"action": "message_post", "body": {"queue_name": "q", "messages": [{"body": {"a": [1, -0, 2.5e3, "\ud83d\ude00"]}, "ttl": 60, "delay": 0}]}, "headers": {"Client-ID": "3381af922b9e11e3b19171861300734c", "X-Project-ID": "p"}, "id": 7}`,
		`{"headers": {"Client-ID": "c", "X-Project-ID": "p"}, "body": {"queue_name": "q\u0000", "metadata": {"_default_message_ttl": 60}}, "action": "queue_create", "id": "x"}`,
		`{"action":"claim_create","body":{"queue_name":"q","ttl":1e2,"grace":99999999999999999999,"limit":-1}}`,
		`{"action":"subscription_create","body":{"queue_name":"q","options":{"_retry_policy":{}},"subscriber":"http://x"}}`,
		`{"action":"message_delete_many","body":{"queue_name":"q","message_ids":["a","b"],"claim_ids":[]}}`,
		`{"action":"message_post","body":{"queue_name":"q","messages":[{"body":123456789012345678901234567890},{"body":"\udc00"}]}}`,
		`{"action":"queue_purge","body":{"queue_name":"q","resource_types":["messages"]}, "x": [[[[[[[[[[[[]]]]]]]]]]]]}`,
	} {
		f.Add([]byte(s))
	}
	f.Add(post10())
}

// fuzzLimits has a depth that a fuzzer reaches.
func fuzzLimits() *Limits {
	lim := DefaultLimits()
	lim.MaxDepth = 10
	return &lim
}

// FuzzDecode holds the scanner to encoding/json: the same frames are valid, but for the stricter rules, and every range
// that is kept is the very bytes that encoding/json finds there.
func FuzzDecode(f *testing.F) {
	seedFrames(f)
	lim := fuzzLimits()
	f.Fuzz(func(t *testing.T, frame []byte) {
		var req Request
		err := Decode(frame, JSON, Defaults{ClientID: "3381af922b9e11e3b19171861300734c", ProjectID: "p"}, lim, &req)
		if err != nil && err.Code == "internal" {
			t.Fatal(err)
		}
		if err != nil && err.Code == "undecodable" {
			if json.Valid(frame) && !containsAny(err.Text, stricter) {
				t.Fatalf("refused valid JSON: %v", err)
			}
			return
		}
		if !json.Valid(frame) || !utf8.Valid(frame) {
			t.Fatalf("accepted: %v", err)
		}
		if err != errNotAnObject {
			compareRanges(t, frame, &req)
		}
		if req.Queue().Name != "" && err == nil && !ValidQueueName(req.Queue().Name) {
			t.Fatalf("accepted queue name %q", req.Queue().Name)
		}
	})
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

func compareRanges(t *testing.T, frame []byte, req *Request) {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal(frame, &want); err != nil {
		t.Fatal(err)
	}
	if string(want["headers"]) == "null" {
		delete(want, "headers")
	}
	for name, got := range map[string][]byte{"action": req.RawAction, "body": req.RawBody, "headers": req.RawHeaders} {
		if !bytes.Equal(got, want[name]) {
			t.Fatalf("%s is %q, want %q", name, got, want[name])
		}
	}
	if req.ID != nil && !bytes.Equal(req.ID, want["id"]) {
		t.Fatalf("id is %q, want %q", req.ID, want["id"])
	}
	if len(req.Fields.Messages) == 0 {
		return
	}
	var body struct{ Messages []json.RawMessage }
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(req.RawBody, &fields); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(fields["messages"], &body.Messages); err != nil {
		t.Fatal(err)
	}
	compareMessages(t, body.Messages, req.Fields.Messages)
}

// compareMessages skips elements that are no objects, as the decoder does.
func compareMessages(t *testing.T, want []json.RawMessage, got []NewMessage) {
	t.Helper()
	n := 0
	for _, raw := range want {
		var message map[string]json.RawMessage
		if json.Unmarshal(raw, &message) != nil || message == nil {
			continue
		}
		if !bytes.Equal(got[n].Body, message["body"]) {
			t.Fatalf("body %d is %q, want %q", n, got[n].Body, message["body"])
		}
		n++
	}
	if n != len(got) {
		t.Fatalf("%d messages, want %d", len(got), n)
	}
}

// FuzzDecodeMessagePack feeds the other reader, and holds it to the JSON reader: a frame that can be said in JSON gets
// the same answer and the same fields in both.
func FuzzDecodeMessagePack(f *testing.F) {
	f.Add([]byte{packNever})
	f.Add([]byte{})
	for _, frame := range [][]byte{
		post10(), []byte(`{"action":"queue_get","body":{"queue_name":"q"},"headers":{"Client-ID":"c","X-Project-ID":"p"}}`),
		[]byte(`{"action":"queue_create","body":{"queue_name":"q","metadata":{"x":1.5}},"headers":{"Client-ID":"c","X-Project-ID":"p"}}`),
		[]byte(`{"body":{"queue_name":"q","ttl":60,"limit":-5},"action":"claim_create","id":5}`),
	} {
		packed, err := Transcode(nil, frame, JSON, MessagePack)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	lim := fuzzLimits()
	def := Defaults{ClientID: "3381af922b9e11e3b19171861300734c"}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var packed, text Request
		packedErr := Decode(frame, MessagePack, def, lim, &packed)
		if packedErr != nil && packedErr.Code == "internal" {
			t.Fatal(packedErr)
		}
		asText, err := Transcode(nil, frame, MessagePack, JSON)
		if err != nil {
			return
		}
		if !json.Valid(asText) {
			t.Fatalf("transcoded into %q", asText)
		}
		textErr := Decode(asText, JSON, def, lim, &text)
		if (packedErr == nil) != (textErr == nil) {
			t.Fatalf("MessagePack: %v, JSON: %v", packedErr, textErr)
		}
		if packedErr == nil {
			compareRequests(t, &packed, &text)
		} else if packedErr.Status != textErr.Status || packedErr.Code != textErr.Code {
			t.Fatalf("MessagePack: %v, JSON: %v", packedErr, textErr)
		}
	})
}

// compareRequests compares all but what depends on the codec.
func compareRequests(t *testing.T, packed, text *Request) {
	t.Helper()
	for i, m := range packed.Fields.Messages {
		body, err := Transcode(nil, m.Body, MessagePack, JSON)
		if err != nil {
			t.Fatal(err)
		}
		packed.Fields.Messages[i].Body, packed.Fields.Messages[i].Codec = body, JSON
	}
	if !reflect.DeepEqual(packed.Fields, text.Fields) || packed.Action != text.Action || packed.Queue() != text.Queue() {
		t.Fatalf("MessagePack: %+v\nJSON: %+v", packed.Fields, text.Fields)
	}
}

// FuzzTranscode sends JSON to MessagePack and back: the same value, and the same bytes the second time.
func FuzzTranscode(f *testing.F) {
	for _, s := range []string{`{"a":[1,-1,1.0,1e300,"x\ny\u0000",true,null,{}]}`, `18446744073709551615`, `"\ud83d\ude00"`, `[[],[1]]`, `-0`, `-0.0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packed, err := Transcode(nil, text, JSON, MessagePack)
		if err != nil {
			return
		}
		back, err := Transcode(nil, packed, MessagePack, JSON)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Transcode([]byte("prefix"), back, JSON, MessagePack)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != "prefix"+string(packed) {
			t.Fatalf("%q: %x, then %x", text, packed, again)
		}
		var want, got any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("accepted %q: %v", text, err)
		}
		if err := json.Unmarshal(back, &got); err != nil || !reflect.DeepEqual(want, got) {
			t.Fatalf("%q came back as %q (%v)", text, back, err)
		}
	})
}

// FuzzTranscodeMessagePack feeds bytes that nobody wrote.
func FuzzTranscodeMessagePack(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x93\x01\xff\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa1b\xc0"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		text, err := Transcode(nil, packed, MessagePack, JSON)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%x became %q", packed, text)
		}
		short, err := Transcode(nil, text, JSON, MessagePack)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Transcode(nil, short, MessagePack, JSON)
		if err != nil || !bytes.Equal(text, again) {
			t.Fatalf("%q, then %q (%v)", text, again, err)
		}
	})
}

// FuzzWriterString writes any string as JSON that encoding/json reads back.
func FuzzWriterString(f *testing.F) {
	f.Add("a\"\\\n\x00\x7f\xff\u2028é")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

// FuzzParseMessageID finds no two spellings of one id.
func FuzzParseMessageID(f *testing.F) {
	for _, s := range []string{"1-1", "1-i1", "7fffffffffffffff-7fffffffffffffff", "8000000000000000-1", "01-1", "-", "1-", "1-I1", "nope"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseMessageID(s)
		if err != nil {
			if !id.IsZero() {
				t.Fatalf("%q: %v and %+v", s, err, id)
			}
			return
		}
		if id.String() != s || id.Queue < 1 || id.N < 1 {
			t.Fatalf("%q is %+v is %q", s, id, id)
		}
	})
}
