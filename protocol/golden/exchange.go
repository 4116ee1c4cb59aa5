package golden

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// Exchange is one HTTP request and the response that has to come.
type Exchange struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	// Setup says that the exchange is not in the record but prepares what is.
	Setup  bool   `json:"setup"`
	Method string `json:"method"`
	// Path is the request's target, with its query.
	Path string `json:"path"`
	// Headers are set besides the usual ones (Client-ID, X-Project-ID and, with a body, Content-Type); null leaves a
	// usual one out.
	Headers map[string]*string `json:"headers"`
	// Body is the request's body as a value to encode, Text as it is; without either there is none.
	Body json.RawMessage `json:"body"`
	Text *string         `json:"text"`

	Expect Response `json:"expect"`
	// Eventually asks again until the response fits: for what time brings about.
	Eventually bool `json:"eventually"`
	// Deviation is the number of the deviation from Zaqar's record that this exchange shows, 0 if it is as recorded.
	Deviation int    `json:"deviation"`
	Note      string `json:"note"`
}

// Response is what has to come back.
type Response struct {
	Status int `json:"status"`
	// Headers must be there; those that say where something is must not be there otherwise.
	Headers map[string]string `json:"headers"`
	// Body is the JSON document, empty if there is no body.
	Body json.RawMessage `json:"body"`
	// More says that objects of the body may have more members than are written.
	More bool `json:"more"`
}

// LoadExchanges reads a session of HTTP exchanges.
func LoadExchanges(path string) ([]Exchange, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load golden exchanges: %w", err)
	}
	var exchanges []Exchange
	if err := json.Unmarshal(data, &exchanges); err != nil {
		return nil, fmt.Errorf("load golden exchanges %s: %w", path, err)
	}
	return exchanges, nil
}

// Server is the gateway to play against.
type Server struct {
	// URL is its address, like "http://127.0.0.1:8888".
	URL string
	// PoolURI is a database of PostgreSQL that becomes a pool, ShownPoolURI what the gateway shows of the URI. Both may be
	// empty for sessions that make no pools.
	PoolURI, ShownPoolURI string
}

// PlayHTTP plays the exchanges in order in a project of their own, each as a subtest. It goes on after one that fails:
// its successors that rest on it fail with it, the others tell their own tale.
func PlayHTTP(t *testing.T, server Server, exchanges []Exchange) {
	t.Helper()
	p := newHTTPPlayer(server)
	defer p.client.CloseIdleConnections()
	for _, e := range exchanges {
		t.Run(e.Section+"/"+e.Name, func(t *testing.T) { p.play(t, &e) })
	}
}
