package protocol

import (
	"strings"
	"testing"
)

func TestApplyPatch(t *testing.T) {
	t.Parallel()
	const metadata = `{"_default_message_ttl": 300, "colour":"red", "a/b": 1.50, "~": [ 1,2 ], "\u0061": null}`
	for name, test := range map[string]struct{ patch, want string }{
		"nothing":             {`[]`, `{"_default_message_ttl":300,"colour":"red","a/b":1.50,"~":[ 1,2 ],"a":null}`},
		"replace":             {`[{"op":"replace","path":"/metadata/colour","value":{"x": 1}}]`, `{"_default_message_ttl":300,"colour":{"x": 1},"a/b":1.50,"~":[ 1,2 ],"a":null}`},
		"add new":             {`[{"op":"add","path":"/metadata/size","value":5.0}]`, `{"_default_message_ttl":300,"colour":"red","a/b":1.50,"~":[ 1,2 ],"a":null,"size":5.0}`},
		"add what is there":   {`[{"op":"add","path":"/metadata/colour","value":null}]`, `{"_default_message_ttl":300,"colour":null,"a/b":1.50,"~":[ 1,2 ],"a":null}`},
		"remove":              {`[{"op":"remove","path":"/metadata/_default_message_ttl"},{"op":"remove","path":"/metadata/colour"}]`, `{"a/b":1.50,"~":[ 1,2 ],"a":null}`},
		"remove and add":      {`[{"op":"remove","path":"/metadata/colour"},{"op":"add","path":"/metadata/colour","value":1}]`, `{"_default_message_ttl":300,"a/b":1.50,"~":[ 1,2 ],"a":null,"colour":1}`},
		"escapes":             {`[{"op":"remove","path":"/metadata/a~1b"},{"op":"replace","path":"/metadata/~0","value":"~"}]`, `{"_default_message_ttl":300,"colour":"red","~":"~","a":null}`},
		"escape of an escape": {`[{"op":"add","path":"/metadata/~01","value":1}]`, `{"_default_message_ttl":300,"colour":"red","a/b":1.50,"~":[ 1,2 ],"a":null,"~1":1}`},
		"reserved, not set":   {`[{"op":"remove","path":"/metadata/_max_claim_count"},{"op":"replace","path":"/metadata/_default_message_delay","value":1}]`, `{"_default_message_ttl":300,"colour":"red","a/b":1.50,"~":[ 1,2 ],"a":null,"_default_message_delay":1}`},
		"root in capitals":    {`[{"path":"/Metadata/a","op":"remove"},{"op":"remove","path":"/metadata/~"}]`, ``},
		"value not looked at": {`[{"op":"remove","path":"/metadata/a","value":[],"from":1}]`, `{"_default_message_ttl":300,"colour":"red","a/b":1.50,"~":[ 1,2 ]}`},
		"quoted key":          {`[{"op":"add","path":"/metadata/\"\n","value":1}]`, `{"_default_message_ttl":300,"colour":"red","a/b":1.50,"~":[ 1,2 ],"a":null,"\"\n":1}`},
	} {
		lim := DefaultLimits()
		got, err := ApplyPatch([]byte(metadata), []byte(test.patch), &lim)
		if (err != nil) != (test.want == "") || string(got) != test.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.want)
		}
	}
}

func TestApplyPatchRefuses(t *testing.T) {
	t.Parallel()
	const oneOf = " It must be one of the following: add, remove, replace."
	add := func(path string) string { return `[{"op":"add","path":"` + path + `","value":1}]` }
	tests := map[string]struct {
		patch  string
		status int
		text   string
	}{
		"no list":        {`{}`, 400, "Request body must be a JSON array of operation objects."},
		"cut off":        {`[{"op":"add"`, 400, "Request body must be a JSON array of operation objects."},
		"no object":      {`[1]`, 400, "Operations must be JSON objects."},
		"no op":          {`[{}]`, 400, "Unable to find `op` in JSON Schema change." + oneOf},
		"op":             {`[{"op":"move","from":"/metadata/a","path":"/metadata/b"}]`, 400, "Invalid operation: `move`." + oneOf},
		"op no text":     {`[{"op":null}]`, 400, "Invalid operation: `None`." + oneOf},
		"op twice":       {`[{"op":"add","op":"add"}]`, 400, "An operation must not say 'op' twice."},
		"no path":        {`[{"op":"add"}]`, 400, "Unable to find 'path' in JSON Schema change"},
		"path no text":   {`[{"op":"add","path":1}]`, 400, "Pointer `1` does not start with \"/\"."},
		"relative":       {add("metadata/a"), 400, "Pointer `metadata/a` does not start with \"/\"."},
		"adjacent":       {add("/metadata//a"), 400, "Pointer `/metadata//a` contains adjacent \"/\"."},
		"trailing":       {add("/metadata/"), 400, "Pointer `/metadata/` end with \"/\"."},
		"escape":         {add("/metadata/~2"), 400, "Pointer `/metadata/~2` contains \"~\" not part of a recognized escape sequence."},
		"root alone":     {add("/metadata"), 400, "Invalid JSON pointer for this resource: '/metadata, e.g /metadata/key'"},
		"nested":         {add("/metadata/a/b"), 400, "Invalid JSON pointer for this resource: '/metadata/a/b, e.g /metadata/key'"},
		"no value":       {`[{"op":"replace","path":"/metadata/a"}]`, 400, `Operation "replace" requires a member named "value".`},
		"foreign":        {add("/other/a"), 400, "The root of path must be metadata, e.g /metadata/key."},
		"foreign remove": {`[{"op":"remove","path":"/other/a"}]`, 400, "The root of path must be metadata, e.g /metadata/key."},
		"replace":        {`[{"op":"replace","path":"/metadata/nope","value":1}]`, 409, "Can't replace non-existent object nope."},
		"remove":         {`[{"op":"remove","path":"/metadata/nope"}]`, 409, "Can't remove non-existent object nope."},
		"remove twice":   {`[{"op":"remove","path":"/metadata/a"},{"op":"remove","path":"/metadata/a"}]`, 409, "Can't remove non-existent object a."},
		"last one":       {`[{"op":"add","path":"/metadata/x","value":1},{"op":"nope"}]`, 400, "Invalid operation: `nope`." + oneOf},
		"reserved":       {`[{"op":"add","path":"/metadata/_default_message_ttl","value":"60"}]`, 400, "_default_message_ttl must be integer."},
		"too large":      {`[{"op":"add","path":"/metadata/x","value":"` + strings.Repeat("x", 65530) + `"}]`, 400, "Queue metadata is too large. Max size: 65536"},
	}
	lim := DefaultLimits()
	for name, test := range tests {
		got, err := ApplyPatch([]byte(`{"a": 1}`), []byte(test.patch), &lim)
		if err == nil {
			t.Errorf("%s: %s", name, got)
			continue
		}
		wantTitle := titleBody
		if test.status == 409 {
			wantTitle = titleConflict
		}
		if title, text := err.REST(); got != nil || err.Status != test.status || text != test.text || err.Exception != test.text || title != wantTitle {
			t.Errorf("%s: %d %s: %s", name, err.Status, title, text)
		}
	}
}

func TestAppendFullMetadata(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	for metadata, want := range map[string]string{
		`{}`: `{"_max_messages_post_size":262144,"_default_message_ttl":3600,"_default_message_delay":0,"_dead_letter_queue":null,` +
			`"_dead_letter_queue_messages_ttl":null,"_max_claim_count":null,"_enable_encrypt_messages":false}`,
		`{"_default_message_ttl": 300, "colour": "red", "_max_claim_count": 0}`: `{"_default_message_ttl":300,"colour":"red","_max_claim_count":null,` +
			`"_max_messages_post_size":262144,"_default_message_delay":0,"_dead_letter_queue":null,"_dead_letter_queue_messages_ttl":null,` +
			`"_enable_encrypt_messages":false}`,
	} {
		if got := string(AppendFullMetadata([]byte("x"), []byte(metadata), &lim)); got != "x"+want {
			t.Errorf("%s: %s", metadata, got)
		}
	}
}
