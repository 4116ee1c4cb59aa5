// Package golden plays the recorded sessions in protocol/testdata against a gateway, and holds every frame that comes
// back against what is written there. It is for tests: of the gateway in process, and of the real binary. The format is
// explained in protocol/testdata/README.md.
package golden

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// Step is one frame sent, or a connection closed, and what has to come back.
type Step struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	// Connection names the connection; "" is the main one. Connections are dialled when they are first named.
	Connection string `json:"connection"`
	// Codec is "msgpack" or "" for JSON.
	Codec string `json:"codec"`
	// Close closes the connection instead of sending.
	Close bool `json:"close"`
	// Eventually sends again until the answer fits: for what another connection's end brings about.
	Eventually bool `json:"eventually"`
	// One of Send, Text and Hex is the frame: a value to encode, the text itself, or bytes.
	Send json.RawMessage `json:"send"`
	Text *string         `json:"text"`
	Hex  string          `json:"hex"`
	// Expect are the replies in order, Push the pushes in order. Replies and pushes may mix.
	Expect []json.RawMessage `json:"expect"`
	Push   []json.RawMessage `json:"push"`
	// PushCodec is the codec of the pushes, as Codec is.
	PushCodec string `json:"pushCodec"`
	// Deviation is the number of the deviation from Zaqar's record that this step shows, 0 if it is as recorded.
	Deviation int    `json:"deviation"`
	Note      string `json:"note"`
}

// Load reads the steps of a session.
func Load(path string) ([]Step, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load golden session: %w", err)
	}
	var steps []Step
	if err := json.Unmarshal(data, &steps); err != nil {
		return nil, fmt.Errorf("load golden session %s: %w", path, err)
	}
	return steps, nil
}

// Conn is a WebSocket connection as the player needs it. The player uses it from one goroutine.
type Conn interface {
	// Send sends one text frame, or a binary one.
	Send(binary bool, payload []byte) error
	// Receive waits for the next frame, no longer than timeout.
	Receive(timeout time.Duration) (binary bool, payload []byte, err error)
	// Close closes the connection.
	Close() error
}

// receiveTimeout is how long a frame may take; eventually is how long a change may take to show.
const (
	receiveTimeout = 10 * time.Second
	eventually     = 20 * time.Second
)

// Play plays the steps in order in a project of its own, each as a subtest, and stops at the first that fails: later
// ones rest on it. At the end it checks that no frame came that nobody asked for, and closes the connections.
func Play(t *testing.T, dial func() (Conn, error), steps []Step) {
	t.Helper()
	p := player{dial: dial, conns: map[string]Conn{}, vars: newVariables()}
	defer p.close()
	for _, step := range steps {
		if !t.Run(step.Name, func(t *testing.T) { p.play(t, &step) }) {
			t.Fatalf("session stops after step %q", step.Name)
		}
	}
	t.Run("nothing more comes", p.drain)
}
