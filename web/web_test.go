package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestPages(t *testing.T) {
	t.Parallel()
	for path, contentType := range map[string]string{
		"/":                   "text/html; charset=utf-8",
		"/examples/":          "text/html; charset=utf-8",
		"/examples/try.html":  "text/html; charset=utf-8",
		"/examples/try.js":    "text/javascript; charset=utf-8",
		"/examples/style.css": "text/css; charset=utf-8",
		"/docs/":              "text/html; charset=utf-8",
		"/docs/changelog.md":  "text/plain; charset=utf-8",
		"/docs/api":           "text/html; charset=utf-8",
		"/docs/openapi.json":  "application/json",
		"/docs/asyncapi.json": "application/json",
	} {
		w := get(t, path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: sniffing is allowed", path)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s: content security policy %q", path, policy)
		}
	}
}

func TestNothingElse(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/web.go", "/examples/none.html", "/docs/none.md", "/docs/..%2fweb.go", "/docs/%2e%2e/examples/try.js", "/examples/..%2fdocs%2fchangelog.md"} {
		if w := get(t, path); w.Code == http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// The policy forbids inline scripts and styles, so a page that had one would break without a word.
func TestPagesNeedNothingInline(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|https?://`)
	for _, path := range []string{"/", "/examples/", "/examples/try.html", "/docs/", "/docs/api"} {
		if found := inline.FindString(get(t, path).Body.String()); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

// Every link of the pages leads somewhere (probes are the gateway's own).
func TestLinks(t *testing.T) {
	t.Parallel()
	href := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`)
	for _, path := range []string{"/", "/examples/", "/docs/"} {
		for _, m := range href.FindAllStringSubmatch(get(t, path).Body.String(), -1) {
			if m[1] != "/readyz" && get(t, m[1]).Code != http.StatusOK {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
	}
}
