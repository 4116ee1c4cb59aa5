package protocol_test

import (
	"strings"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestListenOption(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]struct{ uri, shown string }{
		``:                                      {"", `{}`},
		`{}`:                                    {"", `{}`},
		`{"b": 1, "a":2}`:                       {"", `{"b": 1, "a":2}`},
		`{"listen": "postgres://u:hush@h/d"}`:   {"postgres://u:hush@h/d", `{"listen":"postgres://u@h/d"}`},
		`{"l\u0069sten":"postgres://u:hush@h"}`: {"postgres://u:hush@h", `{"listen":"postgres://u@h"}`},
		`{"listen":"x:hush@h","listen":1}`:      {"", `{"listen":""}`},
		`{"z":[1, 2],"listen":{"hush":1}}`:      {"", `{"listen":"","z":[1,2]}`},
		`["hush"]`:                              {"", `{}`},
	} {
		raw := []byte(options)
		if options == "" {
			raw = nil
		}
		if got := protocol.ListenOption(raw); got != want.uri {
			t.Errorf("%s: the URI is %q, want %q", options, got, want.uri)
		}
		got := string(protocol.ShownOptions(raw))
		if got != want.shown || strings.Contains(got, "hush") {
			t.Errorf("%s is shown as %s, want %s", options, got, want.shown)
		}
	}
}
