package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nusku-messaging/nusku/protocol/golden"
)

// goldenConn is a connection of the player.
type goldenConn struct{ ws *websocket.Conn }

func (c goldenConn) Send(binary bool, payload []byte) error {
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	return c.ws.Write(context.Background(), kind, payload) // Close ends it
}

func (c goldenConn) Receive(timeout time.Duration) (binary bool, payload []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout) // the player knows no context
	defer cancel()
	kind, payload, err := c.ws.Read(ctx)
	return kind == websocket.MessageBinary, payload, err
}

func (c goldenConn) Close() error {
	_ = c.ws.Close(websocket.StatusNormalClosure, "") // also of a connection that timed out
	return nil
}

// TestGolden plays the recorded sessions against the binary.
func TestGolden(t *testing.T) {
	t.Parallel()
	for file, subprotocols := range map[string][]string{
		"zaqar-websocket-v2.json": nil,
		"nusku-id-frames.json":    nil,
		"nusku-extended.json":     {"nusku.v1"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			steps, err := golden.Load("../../protocol/testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			g := defaults(t)
			golden.Play(t, func() (golden.Conn, error) {
				ws, _, err := websocket.Dial(within(t), g.url, &websocket.DialOptions{Subprotocols: subprotocols})
				if err != nil {
					return nil, err
				}
				ws.SetReadLimit(-1)
				return goldenConn{ws}, nil
			}, steps)
		})
	}
}
