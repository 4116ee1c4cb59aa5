package conformance

import (
	"testing"

	"github.com/nusku-messaging/nusku/protocol/golden"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// TestGoldenREST plays the recorded HTTP exchanges.
func TestGoldenREST(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"zaqar-rest-v2.json", "nusku-rest.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exchanges, err := golden.LoadExchanges("../../protocol/testdata/" + name)
			if err != nil {
				t.Fatal(err)
			}
			n := startNode(t, storetest.URL(t), nil)
			pool := storetest.URL(t)
			golden.PlayHTTP(t, golden.Server{URL: "http://" + n.addr, PoolURI: pool, ShownPoolURI: pool}, exchanges)
		})
	}
}
