package deliver

import (
	"strings"
	"testing"
)

func TestCheckWebhook(t *testing.T) {
	t.Parallel()
	const notOne, space, port, host = "not the address of a webhook", "the address has a space or a control character in it",
		"the address has no port from 1 to 65535", "the address has no valid host"
	for address, want := range map[string]string{
		"http://example.com":                     "",
		"HTTPS://u:p@Example.com.:443/a?b=%20#c": "",
		"http://localhost:65535/":                "",
		"http://127.0.0.1:1/":                    "",
		"http://[::1]:8080/":                     "",
		"http://[fe80::1%25eth0]/":               "",
		"http://a_b.xn--bcher-kva.example/":      "",
		"http://b\u00fccher.example/\u00fc":      "",

		"http:":                  notOne,
		"http://":                notOne,
		"http:///path":           notOne,
		"http://:80/":            notOne,
		"http://u:p@/":           notOne,
		"http:example.com":       notOne,
		"http://h:8x/":           notOne,
		"http://h/\x00":          notOne,
		"http://h/\n":            notOne,
		"http://a b/":            notOne,
		"http://h/a b":           space,
		" http://h/":             notOne,
		"http://h/?a=\u00a0":     space,
		"http://h/\u0085":        space,
		"http://h/\xff":          space,
		"http://h:99999/":        port,
		"http://h:0/":            port,
		"http://h:/":             port,
		"http://[::1]:65536/":    port,
		"http://[::g]/":          notOne,
		"http://a..b/":           host,
		"http://-a.example/":     host,
		"http://a$b/":            host,
		"http://a,b.example/":    host,
		"http://%41%24.example/": notOne,
		"http://" + strings.Repeat("a", 64) + ".example/":     host,
		"http://" + strings.Repeat("a.", 127) + "example.com": host,
	} {
		got := ""
		if err := CheckWebhook(address); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
