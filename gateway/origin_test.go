package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Whose page may connect: one that uses a name of this gateway's, or whose origin the settings allow.
func TestOriginNeedsAKnownHost(t *testing.T) {
	t.Parallel()
	g := serveTest(t, func(c *Config) {
		c.AllowedOrigins = []string{"app.example.org", "https://*.example.net"}
		c.ListenHost = "gateway.lan"
	})
	_, port, _ := strings.Cut(g.addr, ":")
	for _, tt := range []struct {
		host, origin string
		want         int
	}{
		{"evil.example", "", http.StatusSwitchingProtocols}, // no browser
		{"evil.example", "http://evil.example", http.StatusForbidden},
		{"evil.example:" + port, "http://evil.example:" + port, http.StatusForbidden},
		{"192.0.2.1", "http://192.0.2.1", http.StatusForbidden},
		{"", "http://evil.example", http.StatusForbidden},
		{"localhost:" + port, "http://localhost:" + port, http.StatusSwitchingProtocols},
		{"127.0.0.1:" + port, "http://127.0.0.1:" + port, http.StatusSwitchingProtocols},
		{"[::1]:" + port, "http://[::1]:" + port, http.StatusSwitchingProtocols},
		{"Gateway.lan", "http://gateway.lan", http.StatusSwitchingProtocols},
		{"localhost", "http://evil.example", http.StatusForbidden},
		{"any.example", "https://app.example.org", http.StatusSwitchingProtocols},
		{"a.example.net", "https://a.example.net", http.StatusSwitchingProtocols},
		{"a.example.net", "http://a.example.net", http.StatusForbidden},
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+g.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		for key, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Origin": tt.origin,
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
		} {
			if value != "" {
				req.Header.Set(key, value)
			}
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.want {
			t.Errorf("Host %q, Origin %q: answered %d, want %d", tt.host, tt.origin, resp.StatusCode, tt.want)
		}
		if tt.want == http.StatusForbidden && strings.HasPrefix(tt.host, "evil") {
			if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "--allowed-origins") {
				t.Errorf("Host %q: answered %q, %v", tt.host, text, err)
			}
		}
		resp.Body.Close()
	}
}
