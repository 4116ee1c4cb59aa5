package protocol

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	testClient  = "3381af92-2b9e-11e3-b191-71861300734c"
	testHeaders = `"headers":{"Client-ID":"` + testClient + `","X-Project-ID":"p"}`
)

// decode reads a frame with the default limits.
func decode(frame string, codec Codec) (*Request, *Error) {
	lim := DefaultLimits()
	req := new(Request)
	return req, Decode([]byte(frame), codec, Defaults{}, &lim, req)
}

// bothCodecs runs a test with a frame as JSON and as MessagePack.
func bothCodecs(t *testing.T, frame string, test func(t *testing.T, frame string, codec Codec)) {
	t.Helper()
	t.Run("JSON", func(t *testing.T) { test(t, frame, JSON) })
	t.Run("MessagePack", func(t *testing.T) {
		test(t, string(toMessagePack(t, []byte(frame))), MessagePack)
	})
}

func TestDecodeFields(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want Fields
	}{
		"queue_create": {`{"queue_name":"a_b-c.9","metadata":{"k":[1]}}`,
			Fields{Set: FieldQueueName | FieldMetadata, QueueName: "a_b-c.9", Metadata: []byte(`{"k":[1]}`)}},
		"queue_list": {`{"limit":3,"marker":"m","detailed":true,"with_count":true}`,
			Fields{Set: FieldLimit | FieldMarker | FieldDetailed | FieldWithCount, Limit: 3, Marker: "m", Detailed: true, WithCount: true}},
		"queue_purge": {`{"queue_name":"q","resource_types":["messages","x"]}`,
			Fields{Set: FieldQueueName | FieldResourceTypes, QueueName: "q", ResourceTypes: []string{"messages", "x"}}},
		"message_list": {`{"queue_name":"q","echo":true,"include_claimed":true,"include_delayed":true,"ttl":"not mine"}`,
			Fields{Set: FieldQueueName | FieldEcho | FieldIncludeClaimed | FieldIncludeDelayed, QueueName: "q", Limit: 10,
				Echo: true, IncludeClaimed: true, IncludeDelayed: true}},
		"message_delete": {`{"queue_name":"q","message_id":"m","claim_id":"c"}`,
			Fields{Set: FieldQueueName | FieldMessageID | FieldClaimID, QueueName: "q", MessageID: "m", ClaimID: "c"}},
		"message_delete_many": {`{"queue_name":"q","message_ids":["a","b"],"claim_ids":["c"]}`,
			Fields{Set: FieldQueueName | FieldMessageIDs | FieldClaimIDs, QueueName: "q", MessageIDs: []string{"a", "b"}, ClaimIDs: []string{"c"}}},
		"claim_create": {`{"queue_name":"q","grace":61}`,
			Fields{Set: FieldQueueName | FieldGrace, QueueName: "q", Limit: 10, TTL: 300, Grace: 61}},
		"claim_update": {`{"queue_name":"q","claim_id":"c","ttl":60}`,
			Fields{Set: FieldQueueName | FieldClaimID | FieldTTL, QueueName: "q", ClaimID: "c", TTL: 60, Grace: 60}},
		"subscription_create": {`{"queue_name":"q","subscriber":"HTTPS://x","options":{"a":null}}`,
			Fields{Set: FieldQueueName | FieldSubscriber | FieldOptions, QueueName: "q", Subscriber: "HTTPS://x", TTL: 3600,
				Options: []byte(`{"a":null}`)}},
	}
	for action, test := range tests {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			frame := fmt.Sprintf(`{"action":%q,"body":%s,%s}`, action, test.body, testHeaders)
			late := fmt.Sprintf(`{%s,"body":%s,"action":%q}`, testHeaders, test.body, action)
			for _, f := range []string{frame, late} {
				bothCodecs(t, f, func(t *testing.T, f string, codec Codec) {
					req, err := decode(f, codec)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(test.want, req.Fields); diff != "" {
						t.Error(diff)
					}
					if req.Action != ActionByName(action) || req.ClientUUID.String() != testClient || req.ProjectID != "p" {
						t.Errorf("%+v", req)
					}
				})
			}
		})
	}
}

func TestDecodePost(t *testing.T) {
	t.Parallel()
	frame := `{"action":"message_post","body":{"queue_name":"q","messages":[` +
		`{"body": {"a": "\u00e9"} ,"ttl":60,"delay":900,"other":{}},{"body":null},{"ttl":1209600,"body":"x"}]},` + testHeaders + `}`
	req, err := decode(frame, JSON)
	if err != nil {
		t.Fatal(err)
	}
	want := []NewMessage{
		{Body: []byte(`{"a": "\u00e9"}`), TTL: 60, Delay: 900},
		{Body: []byte(`null`), TTL: -1, Delay: -1},
		{Body: []byte(`"x"`), TTL: 1209600, Delay: -1},
	}
	if diff := cmp.Diff(want, req.Fields.Messages); diff != "" {
		t.Error(diff)
	}
	start := strings.Index(frame, `[{"body"`)
	if size := strings.Index(frame, `]}`) + 1 - start; req.MessagesSize() != size {
		t.Errorf("size %d, want %d", req.MessagesSize(), size)
	}
}

func TestPostTooLarge(t *testing.T) {
	t.Parallel()
	req, err := decode(`{"action":"message_post","body":{"queue_name":"q","messages":[{"body":1}]},`+testHeaders+`}`, JSON)
	if err != nil {
		t.Fatal(err)
	}
	lim := DefaultLimits()
	lim.MaxPostBytes = len(`[{"body":1}]`)
	if err := req.PostTooLarge(&lim); err != nil {
		t.Error(err)
	}
	if err := req.PostTooLargeFor(lim.MaxPostBytes-1, &lim); err == nil || !strings.Contains(err.Exception, "current queue is 11. ") {
		t.Error(err)
	}
	lim.MaxPostBytes--
	if err := req.PostTooLarge(&lim); err == nil || err.Exception != "Message collection size is too large. Max size 11" {
		t.Error(err)
	}
}

// TestDecodeRefuses covers what the golden sessions do not show.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const schema, undecodable = "schema", "undecodable"
	body := func(action, body string) string {
		return fmt.Sprintf(`{"action":%q,"body":%s,%s}`, action, body, testHeaders)
	}
	tests := map[string]struct{ frame, code string }{
		"duplicate in the envelope":       {`{"action":"queue_list","x":1,"x":2,` + testHeaders + `}`, undecodable},
		"duplicate by escape":             {`{"action":"queue_list","\u0061ction":"queue_get",` + testHeaders + `}`, undecodable},
		"duplicate in the headers":        {`{"action":"queue_list","headers":{"X-Project-ID":"a","X-Project-ID":"b","Client-ID":"c"}}`, undecodable},
		"duplicate in the body":           {body("queue_get", `{"queue_name":"a","queue_name":"b"}`), undecodable},
		"duplicate in a late body":        {`{"body":{"queue_name":"a","queue_name":"b"},"action":"queue_get",` + testHeaders + `}`, undecodable},
		"duplicate in a message":          {body("message_post", `{"queue_name":"a","messages":[{"body":1,"body":2}]}`), undecodable},
		"duplicate in metadata":           {body("queue_create", `{"queue_name":"a","metadata":{"_default_message_ttl":60,"_default_message_ttl":61}}`), undecodable},
		"duplicate in options":            {body("subscription_create", `{"queue_name":"a","options":{"a":60,"a":61}}`), undecodable},
		"duplicate unknown, many keys":    {body("queue_get", `{"queue_name":"a","a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"e":1}`), undecodable},
		"invalid UTF-8 in an ignored key": {"{\"action\":\"queue_list\",\"\xff\":1," + testHeaders + "}", undecodable},
		"overlong UTF-8":                  {"{\"a\":\"\xc0\x80\"}", undecodable},
		"encoded surrogate":               {"{\"a\":\"\xed\xa0\x80\"}", undecodable},
		"trailing data":                   {`{} {}`, undecodable},
		"trailing comma":                  {`{"a":1,}`, undecodable},
		"single quotes":                   {`{'a':1}`, undecodable},
		"leading zero":                    {`{"a":01}`, undecodable},
		"bare minus":                      {`{"a":-}`, undecodable},
		"no fraction":                     {`{"a":1.}`, undecodable},
		"no exponent":                     {`{"a":1e}`, undecodable},
		"NaN":                             {`{"a":NaN}`, undecodable},
		"control character":               {"{\"a\":\"\n\"}", undecodable},
		"bad escape":                      {`{"a":"\x"}`, undecodable},
		"short unicode escape":            {`{"a":"\u12"}`, undecodable},
		"unterminated":                    {`{"a":"b`, undecodable},
		"byte order mark":                 {"\ufeff{}", undecodable},
		"half a literal":                  {`{"a":tru`, undecodable},

		"body missing":              {`{"action":"queue_get",` + testHeaders + `}`, schema},
		"body null":                 {body("queue_list", `null`), schema},
		"headers missing":           {`{"action":"queue_list","body":{}}`, schema},
		"headers a list":            {`{"action":"queue_list","headers":[]}`, schema},
		"header not a string":       {`{"action":"queue_list","headers":{"Client-ID":"c","X-Project-ID":1}}`, schema},
		"unused header not a text":  {`{"action":"queue_list","headers":{"Client-ID":"c","X-Project-ID":"p","Date":1}}`, schema},
		"authenticate, no token":    {`{"action":"authenticate",` + testHeaders + `}`, schema},
		"id an object":              {`{"action":"queue_list","id":{},` + testHeaders + `}`, schema},
		"id too long":               {`{"action":"queue_list","id":"` + strings.Repeat("x", 256) + `",` + testHeaders + `}`, schema},
		"limit a float":             {body("queue_list", `{"limit":1.0}`), schema},
		"limit a boolean":           {body("queue_list", `{"limit":true}`), schema},
		"detailed a number":         {body("queue_list", `{"detailed":1}`), schema},
		"messages an object":        {body("message_post", `{"queue_name":"q","messages":{}}`), schema},
		"lone surrogate in a field": {body("message_get", `{"queue_name":"q","message_id":"\ud800"}`), schema},
		"resource types not texts":  {body("queue_purge", `{"queue_name":"q","resource_types":[1]}`), schema},
		"options null":              {body("subscription_create", `{"queue_name":"q","options":null}`), schema},

		"action a number":            {`{"action":5}`, "unknown_action"},
		"action an object":           {`{"action":{}}`, "unknown_action"},
		"limit beyond 64 bits":       {body("queue_list", `{"limit":99999999999999999999}`), "limit"},
		"limit below 64 bits":        {body("queue_list", `{"limit":-99999999999999999999}`), "limit"},
		"ttl beyond 32 bits":         {body("claim_create", `{"queue_name":"q","ttl":4294967396}`), "ttl"},
		"grace beyond 32 bits":       {body("claim_update", `{"queue_name":"q","claim_id":"c","grace":4294967396}`), "ttl"},
		"grace too small":            {body("claim_create", `{"queue_name":"q","grace":59}`), "ttl"},
		"message ttl beyond 32 bits": {body("message_post", `{"queue_name":"q","messages":[{"body":1,"ttl":4294967396}]}`), "ttl"},
		"name with NUL":              {body("queue_get", `{"queue_name":"a\u0000"}`), "queue_name"},
		"name not ASCII":             {body("queue_get", `{"queue_name":"é"}`), "queue_name"},
		"subscriber with NUL":        {body("subscription_create", `{"queue_name":"q","subscriber":"http://\u0000"}`), "field_nul"},
		"subscriber without scheme":  {body("subscription_create", `{"queue_name":"q","subscriber":"http"}`), "subscriber"},
		"lone surrogate in a body":   {body("message_post", `{"queue_name":"q","messages":[{"body":["\udfff"]}]}`), "inexpressible"},
		"number beyond a double":     {body("message_post", `{"queue_name":"q","messages":[{"body":1e999}]}`), "inexpressible"},
		"integer in metadata":        {body("queue_create", `{"queue_name":"q","metadata":{"x":-9223372036854775809}}`), "inexpressible"},
		"type before body":           {body("message_post", `{"queue_name":"q","messages":[{"ttl":null}]}`), "field_type"},
		"missing before range":       {body("message_post", `{"queue_name":"q","messages":[{"body":1,"ttl":1},{}]}`), "no_message_body"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(test.frame, JSON)
			if err == nil || err.Code != test.code || err.Status != 400 {
				t.Errorf("%v (%+v), want %s", err, err, test.code)
			}
		})
	}
}

// TestDecodeStrings puts every byte at every offset of a string that is read in steps of eight bytes.
func TestDecodeStrings(t *testing.T) {
	t.Parallel()
	for at := range 17 {
		for c := range 256 {
			text := []byte(`{"a":"` + strings.Repeat("x", 24) + `"}`)
			text[6+at] = byte(c)
			_, err := decode(string(text), JSON)
			if valid := err.Code != "undecodable"; valid != (json.Valid(text) && utf8.Valid(text)) {
				t.Fatalf("byte %#x at %d: %v", c, at, err)
			}
		}
	}
}

func TestDecodeRefusesMessagePack(t *testing.T) {
	t.Parallel()
	frame := func(body string) string {
		packed := toMessagePack(t, []byte(`{`+testHeaders+`,"action":"message_post"}`))
		packed[0]++ // one pair more
		messages := "\x82\xaaqueue_name\xa1q\xa8messages\x91\x81\xa4body" + body
		return string(packed) + "\xa4body" + messages
	}
	tests := map[string]struct{ frame, text string }{
		"binary":        {frame("\xc4\x01x"), "messages[0].body holds a binary value"},
		"extension":     {frame("\x91\xd4\x01x"), "messages[0].body[0] holds an extension value"},
		"timestamp":     {frame("\x81\xa1t\xd6\xff\x00\x00\x00\x00"), "messages[0].body.t holds an extension value"},
		"NaN":           {frame("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01"), "messages[0].body holds a float"},
		"infinity":      {frame("\xca\x7f\x80\x00\x00"), "messages[0].body holds a float"},
		"integer key":   {frame("\x81\xa1a\x81\x01\x01"), "messages[0].body.a holds a key"},
		"odd path":      {frame("\x81\xa3a b\xc4\x00"), `messages[0].body["a b"] holds a binary value`},
		"integer keys":  {"\x81\x01\x01", "map keys must be strings"},
		"never":         {frame("\xc1"), "FormatError: "},
		"cut string":    {frame("\xa5x"), "incomplete input"},
		"huge array":    {frame("\xdd\xff\xff\xff\xff"), "incomplete input"},
		"huge map":      {frame("\xdf\xff\xff\xff\xff"), "incomplete input"},
		"cut length":    {frame("\xdb\x00"), "incomplete input"},
		"invalid UTF-8": {frame("\xa1\xff"), "invalid UTF-8"},
		"extra":         {frame("\x01") + "\x01", "extra data"},
		"too deep":      {frame(strings.Repeat("\x91", 200) + "\x01"), "nested too deeply"},
		"duplicate":     {"\x82\xa1a\x01\xa1a\x01", `Duplicate key "a"`},
		"empty":         {"", "incomplete input"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := decode(test.frame, MessagePack); err == nil || err.Status != 400 || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v, want %s", err, test.text)
			}
		})
	}
	if req, err := decode(frame("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), MessagePack); err != nil || len(req.Fields.Messages[0].Body) != 9 {
		t.Errorf("largest integer: %v", err)
	}
}

func TestDecodeDefaults(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	def := Defaults{ClientID: testClient, ProjectID: "session"}
	var req Request
	if err := Decode([]byte(`{"action":"queue_list"}`), JSON, def, &lim, &req); err != nil || req.ProjectID != "session" || req.ClientUUID.String() != testClient {
		t.Errorf("no headers: %v, %+v", err, req)
	}
	frame := []byte(`{"action":"queue_list","headers":{"X-Project-ID":""}}`)
	if err := Decode(frame, JSON, def, &lim, &req); err != nil || req.ProjectID != "" || req.ClientID != testClient {
		t.Errorf("an empty project is a project: %v, %+v", err, req)
	}
	if err := Decode([]byte(`{"action":"queue_list"}`), JSON, Defaults{ClientID: "c"}, &lim, &req); err != errSchema {
		t.Errorf("half the defaults: %v", err)
	}
}

func TestDecodeID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`7`, `-1.5e3`, `"a\u0000\n"`, `""`, `99999999999999999999`} {
		req, err := decode(`{"id": `+id+` ,"action":"queue_list",`+testHeaders+`}`, JSON)
		if err != nil || string(req.ID) != id {
			t.Errorf("%s: %v, %q", id, err, req.ID)
		}
	}
	req, err := decode(`{"id":7,"action":"queue_get","body":{"queue_name":`, JSON)
	if err == nil || string(req.ID) != "7" || req.Action != nil || req.RawAction != nil || req.RawBody != nil {
		t.Errorf("cut off: %v, %+v", err, req)
	}
}

// TestDecodeReuse finds what one frame leaves behind for the next.
func TestDecodeReuse(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	var req Request
	for _, frame := range [][]byte{post10(), []byte(`{"action":"message_delete_many","id":1,"body":{"queue_name":"\u0071","message_ids":["a"],"claim_ids":["c"]},` + testHeaders + `}`)} {
		if err := Decode(frame, JSON, Defaults{}, &lim, &req); err != nil {
			t.Fatal(err)
		}
	}
	if req.Fields.QueueName != "q" {
		t.Errorf("escaped name is %q", req.Fields.QueueName)
	}
	if err := Decode([]byte(`{}`), JSON, Defaults{}, &lim, &req); err == nil {
		t.Fatal("accepted {}")
	}
	if diff := cmp.Diff(Fields{}, req.Fields, cmp.Comparer(func(a, b []string) bool { return len(a) == len(b) }),
		cmp.Comparer(func(a, b []NewMessage) bool { return len(a) == len(b) })); diff != "" {
		t.Error(diff)
	}
	if req.ID != nil || req.RawBody != nil || req.ClientID != "" || req.messagesSize != 0 {
		t.Errorf("%+v", req)
	}
	if m := req.Fields.Messages[:1]; m[0].Body != nil {
		t.Error("the last frame is still referenced")
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	id := `"1f-2a"`
	frames := map[string]string{
		"post":        string(post10()),
		"claim":       `{"action":"claim_create","id":1,"body":{"queue_name":"q","ttl":60,"grace":60,"limit":20},` + testHeaders + `}`,
		"delete":      `{"action":"message_delete","body":{"queue_name":"q","message_id":` + id + `,"claim_id":"c"},` + testHeaders + `}`,
		"delete many": `{"action":"message_delete_many","body":{"queue_name":"q","message_ids":[` + strings.Repeat(id+",", 19) + id + `]},` + testHeaders + `}`,
		"escaped":     `{"action":"message_get","body":{"queue_name":"q","message_id":"\u0031"},` + testHeaders + `}`,
	}
	lim := DefaultLimits()
	for name, frame := range frames {
		for _, codec := range []Codec{JSON, MessagePack} {
			data := []byte(frame)
			if codec == MessagePack {
				data = toMessagePack(t, data)
			}
			var req Request
			n := testing.AllocsPerRun(100, func() {
				if err := Decode(data, codec, Defaults{}, &lim, &req); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s, %s: %v allocations", name, codec, n)
			}
		}
	}
}

func TestRequestClass(t *testing.T) {
	t.Parallel()
	tests := map[string]Class{
		`{"action":"message_delete_many","body":{"queue_name":"q","message_ids":["a"]},` + testHeaders + `}`: ClassDelete,
		`{"action":"message_delete_many","body":{"queue_name":"q","pop":1},` + testHeaders + `}`:             ClassExclusive,
		`{"action":"queue_list",` + testHeaders + `}`:                                                        ClassSession,
		`{"action":"claim_create","body":{"queue_name":"q"},` + testHeaders + `}`:                            ClassClaim,
		`{"action":"nope"}`: ClassSession,
	}
	for frame, want := range tests {
		if req, _ := decode(frame, JSON); req.Class() != want {
			t.Errorf("%s is of class %d, want %d", frame, req.Class(), want)
		}
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for v, want := range map[int64]int32{0: 0, -1: -1, math.MaxInt64: math.MaxInt32, math.MinInt64: math.MinInt32, 1 << 32: math.MaxInt32} {
		if got := seconds(v); got != want {
			t.Errorf("%d became %d", v, got)
		}
	}
}

func TestPurges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fields                  Fields
		messages, subscriptions bool
	}{
		{Fields{}, true, true},
		{Fields{Set: FieldResourceTypes}, false, false},
		{Fields{Set: FieldResourceTypes, ResourceTypes: []string{"messages"}}, true, false},
		{Fields{Set: FieldResourceTypes, ResourceTypes: []string{"nope", "subscriptions"}}, false, true},
	}
	for _, test := range tests {
		if m, s := test.fields.Purges(); m != test.messages || s != test.subscriptions {
			t.Errorf("%v: %v, %v", test.fields.ResourceTypes, m, s)
		}
	}
}

// A post may hold so many messages and no more, however small they are.
func TestTooManyMessages(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	lim.MaxMessagesPerPost = 3
	for n, want := range map[int]bool{1: true, 3: true, 4: false} {
		frame := `{"action": "message_post", "headers": {"Client-ID": "11111111-1111-1111-1111-111111111111", "X-Project-ID": "p"}, ` +
			`"body": {"queue_name": "q", "messages": [` + strings.Repeat(`{"body": 1},`, n-1) + `{"body": 1}]}}`
		var req Request
		err := Decode([]byte(frame), JSON, Defaults{}, &lim, &req)
		switch {
		case want && err != nil:
			t.Errorf("%d messages: %v", n, err)
		case !want && (err == nil || err.Status != 400 || err.Exception != "A post may hold 3 messages at most, this one holds 4."):
			t.Errorf("%d messages: %+v", n, err)
		}
	}
}
