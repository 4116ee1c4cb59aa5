package bench

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 100_000} {
		payload := bytes.Repeat([]byte{'x'}, n)
		frame := appendFrame([]byte("before"), opText, payload)[len("before"):]
		// As a server's frame: without the mask bit and its key.
		header := len(frame) - n - 4
		server := append(bytes.Clone(frame[:header]), payload...)
		server[1] &^= 0x80
		for cut := range min(len(server), 20) {
			if _, _, size, err := parseFrame(server[:cut]); size != 0 && n > 20 || err != nil {
				t.Errorf("%d of %d bytes are taken for a frame: %v", cut, len(server), err)
			}
		}
		opcode, got, size, err := parseFrame(append(server, "next"...))
		if err != nil || opcode != opText || size != len(server) || !bytes.Equal(got, payload) {
			t.Errorf("payload of %d: opcode %d, %d bytes, size %d, %v", n, opcode, len(got), size, err)
		}
	}
}

func TestFramesThatAServerMayNotSend(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"fragment": {0x01, 0x01, 'x'}, "masked": {0x81, 0x81, 0, 0, 0, 0, 'x'},
		"huge": {0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, _, _, err := parseFrame(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPostTemplate(t *testing.T) {
	t.Parallel()
	for _, zaqar := range []bool{false, true} {
		d := dialect{zaqar, "p", "c"}
		frame := d.post("q", 3, 256).append(nil, 7, 41)
		var r struct {
			ID      int
			Headers map[string]string
			Body    struct {
				Messages []struct{ Body json.RawMessage }
			}
		}
		if err := json.Unmarshal(frame[8:], &r); err != nil { // a header of 4 bytes and 4 of the mask
			t.Fatal(err)
		}
		if !zaqar && r.ID != idBase+7 {
			t.Errorf("id %d", r.ID)
		}
		if zaqar && (r.Headers["Client-ID"] != "c" || r.Headers["X-Project-ID"] != "p") {
			t.Errorf("headers %v", r.Headers)
		}
		for i, m := range r.Body.Messages {
			if len(m.Body) != 256 || messageNumber(m.Body) != int64(41+i) {
				t.Errorf("body %d has %d bytes and number %d", i, len(m.Body), messageNumber(m.Body))
			}
		}
		if len(r.Body.Messages) != 3 {
			t.Errorf("%d messages", len(r.Body.Messages))
		}
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	post := []byte(`{"id":10000012,"action":"message_post","headers":{"status":201},"body":{"message_ids":["1-1","1-2"]}}`)
	if slot(post) != 12 || status(post) != 201 || countIDs(post) != 2 {
		t.Errorf("slot %d, status %d, %d ids", slot(post), status(post), countIDs(post))
	}
	claim := []byte(`{"id":10000000,"action":"claim_create","headers":{"status":201},"body":{"claim_id":"abc","messages":[` +
		`{"id":"1-1","claim_id":"abc","ttl":60,"age":0,"body":{"n":1000000005,"pad":""}},` +
		`{"id":"1-2","claim_id":"abc","ttl":60,"age":0,"body":{"n":1000000009,"pad":"x"}}]}}`)
	got := map[string]int64{}
	eachMessage(claim, func(id []byte, n int64) { got[string(id)] = n })
	if len(got) != 2 || got["1-1"] != 5 || got["1-2"] != 9 || string(claimID(claim)) != "abc" {
		t.Errorf("messages %v of claim %s", got, claimID(claim))
	}
	if status([]byte(`{}`)) != -1 || messageNumber([]byte(`{"n":3}`)) != -1 || countIDs([]byte(`{}`)) != 0 {
		t.Error("something was read out of nothing")
	}
}

func TestBitmap(t *testing.T) {
	t.Parallel()
	b := newBitmap(10)
	for _, n := range []int64{0, 9, 63, 64, 1000} {
		if !b.set(n) || b.set(n) {
			t.Errorf("%d is not set once", n)
		}
	}
	if b.set(-1) || b.set(1<<40) {
		t.Error("numbers out of range are set")
	}
}
