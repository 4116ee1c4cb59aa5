package protocol

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzDecodeREST holds DecodeREST to its contract whatever the query and the body: it answers 400 with a title and a
// text, or makes a request whose fields are in their ranges from a body that is JSON.
func FuzzDecodeREST(f *testing.F) {
	actions := Actions()
	for i, a := range actions {
		for _, c := range restCases {
			if c.action == a.Name {
				f.Add(uint8(i), c.query, []byte(c.body))
			}
		}
	}
	lim := fuzzLimits()
	f.Fuzz(func(t *testing.T, action uint8, query string, body []byte) {
		a := actions[int(action)%len(actions)]
		if a.rest == nil {
			return
		}
		values, _ := url.ParseQuery(query) // what of it can be read
		in := &RESTInput{
			ClientID: testClient, HasClientID: true, ProjectID: "p", HasProjectID: true, Query: values, Body: body,
			Path: PathValues{QueueName: "q", MessageID: "m", ClaimID: "c", SubscriptionID: "s", PoolName: "p", FlavorName: "f"},
		}
		var req Request
		if err := DecodeREST(a, in, lim, &req); err != nil {
			title, text := err.REST()
			if err.Status != 400 || title == "" || text == "" || strings.HasPrefix(text, badRequest) {
				t.Fatalf("%d %q %q", err.Status, title, text)
			}
			return
		}
		if a.rest.body != bodyIsNone && len(body) > 0 && !json.Valid(body) {
			t.Fatal("accepted what is not JSON")
		}
		checkRanges(t, &req, lim)
	})
}

// checkRanges checks that nothing out of range got past the checks.
func checkRanges(t *testing.T, req *Request, lim *Limits) {
	t.Helper()
	r := &req.Fields
	most := max(lim.MaxMessagesPerPage, lim.MaxMessagesPerClaim)
	switch {
	case r.Limit < 0 || r.Limit > most, r.Pop < 0 || r.Pop > most, len(r.MessageIDs) > most, len(r.DeliveryIDs) > most:
		t.Fatalf("out of range: %+v", r)
	case r.Wait < 0 || r.Wait > lim.MaxWait, r.Weight < 0 || r.Weight > maxWeight, r.TTL < 0, r.Grace < 0:
		t.Fatalf("out of range: %+v", r)
	}
	for _, object := range [][]byte{r.Metadata, r.Options, r.Capabilities, r.Patch} {
		if object != nil && !json.Valid(object) {
			t.Fatalf("not JSON: %q", object)
		}
	}
}

// FuzzApplyPatch holds ApplyPatch to a map: it has the same attributes afterwards, those that stay are in the order that
// they had, and what it refuses changes nothing.
func FuzzApplyPatch(f *testing.F) {
	for _, s := range [][2]string{
		{`{"a": 1, "b": "x"}`, `[{"op":"replace","path":"/metadata/a","value":2},{"op":"add","path":"/metadata/c","value":null}]`},
		{`{"a": 1}`, `[{"op":"remove","path":"/metadata/a"},{"op":"add","path":"/metadata/a","value":[]}]`},
		{`{"_default_message_ttl": 60}`, `[{"op":"remove","path":"/metadata/_default_message_ttl"}]`},
		{`{"~": 1, "/": 2}`, `[{"op":"remove","path":"/metadata/~0"},{"op":"replace","path":"/metadata/~1","value":"\ud83d\ude00"}]`},
		{`{"\u0061": 1}`, `[{"path":"/metadata/a","op":"remove"}]`},
	} {
		f.Add([]byte(s[0]), []byte(s[1]))
	}
	lim := DefaultLimits()
	f.Fuzz(func(t *testing.T, metadata, patch []byte) {
		before, patchBefore := slices.Clone(metadata), slices.Clone(patch)
		got, fault := ApplyPatch(metadata, patch, &lim)
		if !slices.Equal(metadata, before) || !slices.Equal(patch, patchBefore) {
			t.Fatal("an argument was changed")
		}
		if fault != nil {
			if got != nil || fault.Status != 400 && fault.Status != 409 {
				t.Fatalf("%s: %v", got, fault)
			}
			return
		}
		if _, err := CheckMetadata(got, &lim); err != nil || !json.Valid(got) {
			t.Fatalf("bad metadata %s: %v", got, err)
		}
		comparePatched(t, metadata, patch, got)
	})
}

// comparePatched does the patch on a map.
func comparePatched(t *testing.T, metadata, patch, got []byte) {
	t.Helper()
	var want, have map[string]json.RawMessage
	var steps []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if json.Unmarshal(metadata, &want) != nil || json.Unmarshal(patch, &steps) != nil || json.Unmarshal(got, &have) != nil {
		t.Skip("encoding/json reads it otherwise")
	}
	for _, step := range steps {
		_, key, _ := strings.Cut(step.Path[1:], "/")
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
		if step.Op == "remove" {
			delete(want, key)
		} else {
			want[key] = step.Value
		}
	}
	if len(have) != len(want) {
		t.Fatalf("%s, want %v", got, want)
	}
	for key, value := range want {
		if string(have[key]) != string(value) {
			t.Fatalf("%q is %s, want %s", key, have[key], value)
		}
	}
}
