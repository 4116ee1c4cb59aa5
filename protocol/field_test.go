package protocol

import (
	"maps"
	"slices"
	"testing"
)

func TestFieldByName(t *testing.T) {
	t.Parallel()
	for i := range fieldRows {
		row := &fieldRows[i]
		if fieldByName(row.name) != row || row.bit != 1<<i || row.bit.row() != row {
			t.Errorf("%s: not found by its name or by its bit", row.name)
		}
		for _, other := range []string{row.name + "s", row.name[1:], "x" + row.name} {
			if found := fieldByName(other); found != nil && found.name != other {
				t.Errorf("found %s for %s", found.name, other)
			}
		}
	}
	if fieldByName("") != nil || fieldByName("nope") != nil {
		t.Error("found a field that is none")
	}
}

// framed is a frame of an action with a body and the headers that it needs.
func framed(action, body string) string {
	return `{"action":"` + action + `","body":` + body + `,` + testHeaders + `}`
}

// decodeBoth decodes a frame in both codecs, which must agree, and returns what the JSON one says.
func decodeBoth(t *testing.T, frame string) (*Request, *Error) {
	t.Helper()
	packed, packedErr := decode(string(toMessagePack(t, []byte(frame))), MessagePack)
	req, err := decode(frame, JSON)
	if (err == nil) != (packedErr == nil) || err != nil && err.Code != packedErr.Code {
		t.Errorf("%s: %v as JSON, %v as MessagePack", frame, err, packedErr)
	}
	if err == nil && packed.Fields.Set != req.Fields.Set {
		t.Errorf("%s: other fields as MessagePack", frame)
	}
	return req, err
}

func TestDecodeTopics(t *testing.T) {
	t.Parallel()
	for frame, want := range map[string]string{
		`{"topic_name":"t","messages":[{"body":1}]}`:                  "topic:t",
		`{"topic_name":"\u0074","messages":[{"body":"\n"}]}`:          "topic:t",
		`{"queue_name":"t","messages":[{"body":1}]}`:                  "t",
		`{"queue_name":"q","topic_name":"t","messages":[{"body":1}]}`: "queue_and_topic",
		`{"messages":[{"body":1}]}`:                                   "schema",
		`{"topic_name":7,"messages":[{"body":1}]}`:                    "schema",
		`{"topic_name":"","messages":[{"body":1}]}`:                   "topic_name",
		`{"topic_name":"a:b","messages":[{"body":1}]}`:                "topic_name",
		`{"queue_name":"topic:t","messages":[{"body":1}]}`:            "queue_name",
	} {
		r, err := decodeBoth(t, framed("message_post", frame))
		got := ""
		if err != nil {
			got = err.Code
		} else {
			got = r.Queue().Name
			if r.Queue().ShownName() != "t" {
				t.Errorf("%s: shown as %s", frame, r.Queue().ShownName())
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", frame, got, want)
		}
	}
	for _, action := range []string{"claim_create", "claim_get", "claim_update", "claim_delete"} {
		if _, err := decodeBoth(t, framed(action, `{"x":1,"topic_name":"t"}`)); err != errTopicClaim {
			t.Errorf("%s on a topic: %v", action, err)
		}
	}
	if _, err := decodeBoth(t, framed("queue_get", `{"topic_name":"t"}`)); err != errSchema {
		t.Errorf("a queue that is a topic: %v", err)
	}
}

func TestDecodeWait(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"claim_create", "message_list"} {
		for fields, want := range map[string]string{
			`{"queue_name":"q","wait":0}`:                    "",
			`{"queue_name":"q","wait":1}`:                    "wait_without_id",
			`{"queue_name":"q","wait":61}`:                   "ttl",
			`{"queue_name":"q","wait":-1}`:                   "ttl",
			`{"queue_name":"q","wait":99999999999999999999}`: "ttl",
			`{"queue_name":"q","wait":"1"}`:                  "schema",
		} {
			_, err := decode(framed(action, fields), JSON)
			if got := codeOf(err); got != want {
				t.Errorf("%s %s: %s, want %q", action, fields, got, want)
			}
		}
		r, err := decode(`{"id":1,`+framed(action, `{"queue_name":"q","wait":60}`)[1:], JSON)
		if err != nil || r.Fields.Wait != 60 {
			t.Errorf("%s: %d, %v", action, r.Fields.Wait, err)
		}
	}
}

func codeOf(err *Error) string {
	if err == nil {
		return ""
	}
	return err.Code
}

func TestDecodeRoles(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	for headers, want := range map[string]bool{
		`"X-Roles":"admin"`: true, `"X-ROLES":"member, admin"`: true, `"X-Roles":"Admin"`: false, `"X-Roles":"administrator"`: false, `"x":1`: false,
	} {
		var req Request
		if err := Decode([]byte(`{"action":"ping_node","headers":{`+headers+`}}`), JSON, Defaults{}, &lim, &req); err != nil || req.IsAdmin() != want {
			t.Errorf("%s: %v, %v", headers, req.IsAdmin(), err)
		}
	}
	var req Request
	def := Defaults{Roles: "admin"}
	if err := Decode([]byte(`{"action":"ping_node"}`), JSON, def, &lim, &req); err != nil || !req.IsAdmin() {
		t.Errorf("the session's: %v", err)
	}
	if err := Decode([]byte(`{"action":"ping_node","headers":{"X-Roles":""}}`), JSON, def, &lim, &req); err != nil || req.IsAdmin() {
		t.Errorf("the frame's, not the session's: %v", err)
	}
	if err := Decode([]byte(`{"action":"ping_node","headers":{"X-Roles":"","X-ROLES":"admin"}}`), JSON, def, &lim, &req); err != errSchema {
		t.Errorf("both spellings: %v", err)
	}
	signed := `{"action":"ping_node","headers":{"URL-Signature":"s","URL-Expires":"e","URL-Methods":"m","URL-Paths":"p"}}`
	if err := Decode([]byte(signed), JSON, def, &lim, &req); err != nil || req.Signature != (Signature{"s", "e", "m", "p"}) {
		t.Errorf("signed URL: %+v, %v", req.Signature, err)
	}
}

func TestDecodeFilter(t *testing.T) {
	t.Parallel()
	r, err := decodeBoth(t, framed("queue_list", `{"name":"x","filter":{"colour":"r\u0065d","size":5,"half":0.5,"flag":true}}`))
	want := map[string]string{"colour": "red", "size": "5", "half": "0.5", "flag": "true"}
	if err != nil || r.Fields.Name != "x" || !maps.Equal(r.Fields.MetadataFilter, want) {
		t.Errorf("%+v, %v", r.Fields, err)
	}
	for filter, code := range map[string]string{`[]`: "schema", `{"a":null}`: "schema", `{"a":{}}`: "schema", `{"a":"\u0000"}`: "field_nul"} {
		if _, err := decodeBoth(t, framed("topic_list", `{"filter":`+filter+`}`)); codeOf(err) != code {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

func TestDecodePatch(t *testing.T) {
	t.Parallel()
	r, err := decode(string(toMessagePack(t, []byte(framed("queue_update", `{"queue_name":"q","patch":[{"op":"add","path":"/metadata/a","value":[1.0,null]}]}`)))), MessagePack)
	if err != nil || string(r.Fields.Patch) != `[{"op":"add","path":"/metadata/a","value":[1.0,null]}]` {
		t.Errorf("%s, %v", r.Fields.Patch, err)
	}
	for patch, code := range map[string]string{
		`{}`: "patch", `[]`: "", `[{"op":"add","path":"/metadata/a","value":1e999}]`: "inexpressible", `[{"op":"x"}]`: "patch",
	} {
		if _, err := decode(framed("queue_update", `{"queue_name":"q","patch":`+patch+`}`), JSON); codeOf(err) != code {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

func TestDecodeDeliveries(t *testing.T) {
	t.Parallel()
	decodeIDs := func(ids string) ([]int64, *Error) {
		r, err := decodeBoth(t, framed("dead_delivery_resend", `{"queue_name":"q","subscription_id":"s"`+ids+`}`))
		return r.Fields.DeliveryIDs, err
	}
	if ids, err := decodeIDs(``); err != nil || ids != nil {
		t.Errorf("all: %v, %v", ids, err)
	}
	if ids, err := decodeIDs(`,"delivery_ids":["1","9223372036854775807"]`); err != nil || !slices.Equal(ids, []int64{1, 1<<63 - 1}) {
		t.Errorf("two: %v, %v", ids, err)
	}
	for ids, code := range map[string]string{`[]`: "id_count", `["x"]`: "delivery_id", `[1]`: "schema", `"1"`: "schema"} {
		if _, err := decodeIDs(`,"delivery_ids":` + ids); codeOf(err) != code {
			t.Errorf("%s: %v", ids, err)
		}
	}
	r, err := decode(framed("dead_delivery_list", `{"queue_name":"q","subscription_id":"s","marker":"7"}`), JSON)
	if err != nil || r.Fields.DeliveryMarker != 7 || r.Fields.Limit != 10 {
		t.Errorf("%+v, %v", r.Fields, err)
	}
}
