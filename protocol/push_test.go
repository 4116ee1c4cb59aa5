package protocol

import (
	"encoding/json"
	"os"
	"testing"
)

// goldenPush is an entry of testdata/nusku-pushes.json.
type goldenPush struct {
	Name     string
	Extended bool
	Frame    json.RawMessage
}

func TestGoldenPushes(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/nusku-pushes.json")
	if err != nil {
		t.Fatal(err)
	}
	var pushes []goldenPush
	if err := json.Unmarshal(data, &pushes); err != nil {
		t.Fatal(err)
	}
	for _, push := range pushes {
		for _, codec := range []Codec{JSON, MessagePack} {
			t.Run(push.Name+", "+codec.String(), func(t *testing.T) {
				t.Parallel()
				var want struct {
					Type  string `json:"Message_Type"`
					Queue string `json:"queue_name"`
					TTL   int32
					Age   int32
					ID    string
					Body  json.RawMessage

					ClaimCount int32 `json:"claim_count"`
					Origin     json.RawMessage
				}
				if err := json.Unmarshal(push.Frame, &want); err != nil {
					t.Fatal(err)
				}
				w := Writer{Codec: codec}
				if want.Type == "Gap" {
					var g Gap
					if err := json.Unmarshal(want.Body, &g); err != nil {
						t.Fatal(err)
					}
					AppendGap(&w, want.Queue, g)
				} else {
					id, _ := ParseMessageID(want.ID)
					AppendNotification(&w, want.Queue, &Message{ID: id, TTL: want.TTL, Age: want.Age, Body: want.Body,
						ClaimCount: want.ClaimCount, Origin: want.Origin}, push.Extended)
				}
				wantJSON(t, codec, w.Buf, string(push.Frame))
			})
		}
	}
}
