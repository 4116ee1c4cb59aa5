package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a gateway in memory, just good enough for the load generator, with a fault of choice.
type fake struct {
	t     *testing.T
	fault string

	mu          sync.Mutex
	free        []json.RawMessage // bodies by message number
	ids         []int
	claimed     map[int]bool
	posted      int
	subscribers []*websocket.Conn
}

// The faults. Each must be found by the run that the test makes.
const (
	faultLoses     = "loses a post"
	faultRefuses   = "refuses a post"
	faultTwice     = "gives a message to two claims"
	faultKeeps     = "does not delete"
	faultReorders  = "swaps two pushes"
	faultSkips     = "skips a push"
	faultTooFewIDs = "answers a post with too few ids"
)

func startFake(t *testing.T, fault string) (url string) {
	f := &fake{t: t, fault: fault, claimed: map[int]bool{}}
	var sessions sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sessions.Add(1)
		defer sessions.Done()
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		f.serve(ws)
	}))
	t.Cleanup(func() {
		server.Close()
		sessions.Wait()
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

type fakeRequest struct {
	ID     json.RawMessage
	Action string
	Body   struct {
		Limit    int
		Messages []struct{ Body json.RawMessage }
		Message  string   `json:"message_id"`
		IDs      []string `json:"message_ids"`
	}
}

func (f *fake) serve(ws *websocket.Conn) {
	for {
		_, payload, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		var r fakeRequest
		if err := json.Unmarshal(payload, &r); err != nil {
			f.t.Errorf("the load generator sent %.200s: %v", payload, err)
			return
		}
		f.mu.Lock()
		status, body := f.handle(ws, &r)
		if r.ID != nil {
			send(ws, `{"id":%s,"action":%q,"headers":{"status":%d},"body":%s}`, r.ID, r.Action, status, body)
		} else {
			send(ws, `{"request":%s,"body":%s,"headers":{"status":%d}}`, payload, body, status)
		}
		if r.Action == "message_post" && status == 201 {
			f.push(r.Body.Messages)
		}
		f.mu.Unlock()
	}
}

func send(ws *websocket.Conn, format string, args ...any) {
	_ = ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, format, args...)) // a lost peer is noticed by its reader
}

func (f *fake) handle(ws *websocket.Conn, r *fakeRequest) (status int, body string) {
	switch r.Action {
	case "message_post":
		return f.post(r)
	case "claim_create":
		return f.claim(r)
	case "message_delete", "message_delete_many":
		for _, id := range append(r.Body.IDs, r.Body.Message) {
			var n int
			if _, err := fmt.Sscanf(id, "m%d", &n); err == nil && f.fault != faultKeeps {
				delete(f.claimed, n)
			}
		}
		return 204, `{}`
	case "queue_get_stats":
		return 200, fmt.Sprintf(`{"messages":{"claimed":%d,"free":%d,"total":%d}}`, len(f.claimed), len(f.ids), len(f.claimed)+len(f.ids))
	case "subscription_create":
		f.subscribers = append(f.subscribers, ws)
		return 201, `{"subscription_id":"s"}`
	}
	return 204, `{}`
}

func (f *fake) post(r *fakeRequest) (status int, body string) {
	if f.posted++; f.fault == faultRefuses && f.posted == 3 {
		return 503, `{"error":"no","exception":"unavailable"}`
	}
	var ids []string
	for _, m := range r.Body.Messages {
		if f.fault != faultLoses || f.posted != 3 {
			f.ids = append(f.ids, len(f.free))
		}
		ids = append(ids, fmt.Sprintf(`"m%d"`, len(f.free)))
		f.free = append(f.free, m.Body)
	}
	if f.fault == faultTooFewIDs {
		ids = ids[1:]
	}
	return 201, `{"message_ids":[` + strings.Join(ids, ",") + `]}`
}

func (f *fake) claim(r *fakeRequest) (status int, body string) {
	n := min(r.Body.Limit, len(f.ids))
	if n == 0 {
		return 204, `{"claim_id":"c"}`
	}
	var messages []string
	for _, id := range f.ids[:n] {
		messages = append(messages, fmt.Sprintf(`{"id":"m%d","claim_id":"c","ttl":60,"age":0,"body":%s}`, id, f.free[id]))
		f.claimed[id] = true
	}
	f.ids = f.ids[n:]
	if f.fault == faultTwice {
		f.fault = ""
		delete(f.claimed, 0)
		f.ids = append([]int{0}, f.ids...)
	}
	return 201, `{"claim_id":"c","messages":[` + strings.Join(messages, ",") + `]}`
}

func (f *fake) push(messages []struct{ Body json.RawMessage }) {
	for i, ws := range f.subscribers {
		for j := range messages {
			m := messages[j]
			if i == 0 && f.posted == 3 {
				switch f.fault {
				case faultSkips:
					continue
				case faultReorders:
					m = messages[len(messages)-1-j]
				}
			}
			send(ws, `{"ttl":60,"body":%s,"Message_Type":"Notification","queue_name":"q"}`, m.Body)
		}
	}
}
