package protocol_test

import (
	"strings"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestShownURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"":                                  "",
		"localhost":                         "localhost",
		"embedded://local/spare":            "embedded://local/spare",
		"postgres://h/db":                   "postgres://h/db",
		"postgres://u:hush@h:5432/db":       "postgres://u@h:5432/db",
		"postgres://u:hu:s@h@h1,h2:1/db":    "postgres://u@h1,h2:1/db",
		"postgres://:hush@h/db":             "postgres://@h/db",
		"postgres://u@h/db?sslmode=require": "postgres://u@h/db?sslmode=require",
		"postgres://h/db?password=hush&user=u&sslpassword=hush&a=b": "postgres://h/db?user=u&a=b",
		"postgres://h/db?p%61ssword=hush":                           "postgres://h/db",
		"postgres://h/db?PASSWORD=hush":                             "postgres://h/db",
		"postgres://h/db?%zz=hush":                                  "postgres://h/db",
		"postgres://u:hu/sh@h/db":                                   "postgres://…",
		"postgres://u:1/hush@h/db":                                  "postgres://…",
		"postgres://u:1?hush@h/db":                                  "postgres://…",
		"postgres://u:1#hush@h/db":                                  "postgres://…",
		"u:hush@h://x":                                              "…",
		"u:hush@h":                                                  "…",
		"host=h dbname=d password=hush":                             "host=h dbname=d",
		"host=h password = hush":                                    "…",
		"host=h password='hu sh'":                                   "…",
		`host=h password=hu\ sh`:                                    "…",
	} {
		got := protocol.ShownURI(uri)
		if got != want {
			t.Errorf("%q is shown as %q, want %q", uri, got, want)
		}
		if strings.Contains(got, "hush") {
			t.Errorf("%q shows its password: %q", uri, got)
		}
	}
}
