package conformance

import (
	"path/filepath"
	"testing"

	"github.com/nusku-messaging/nusku/protocol/golden"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// TestGolden plays the recorded sessions.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"zaqar-websocket-v2.json", "nusku-id-frames.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, storetest.URL(t), nil)
			steps, err := golden.Load(filepath.Join("..", "..", "protocol", "testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			golden.Play(t, func() (golden.Conn, error) { return n.dial() }, steps)
		})
	}
}
